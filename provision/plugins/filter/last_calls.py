"""Filter over the providers' `Facts.cancel_calls` for the role lifetime."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from provision.providers.facts import facts_of


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name -> function."""
        return {"muster_cancel_calls": cancel_calls}


def cancel_calls(machines: Mapping[str, Sequence[str]], variables: Mapping[str, str]) -> list[dict[str, Any]]:
    """Requests that cancel machines; see `Facts.cancel_calls`.

    Args:
        machines: ids by provider.
        variables: what the providers ask for.
    """
    plain = {str(name): str(value) for name, value in variables.items()}  # Ansible's strings carry tags
    return [call for name, ids in machines.items() for call in facts_of(name).cancel_calls(ids, plain)]
