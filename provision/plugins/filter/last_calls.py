"""Filter over provision.providers.softlayer.last_calls for the role lifetime."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from provision.providers.softlayer import last_calls


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name -> function."""
        return {"muster_cancel_calls": cancel_calls}


def cancel_calls(
    guests: Sequence[str], username: str, api_key: str, endpoint: str = ""
) -> list[dict[str, Any]]:
    """Requests that cancel SoftLayer guests; see `last_calls.softlayer`."""
    # Ansible's strings carry tags, which XML-RPC does not know.
    return last_calls.softlayer(guests, str(username), str(api_key), str(endpoint))
