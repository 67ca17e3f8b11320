"""What the master of a cluster asks a provider for at the end, when machines that are off would bill on.

Rendered here, sent there (roles/lifetime): the master knows nothing of providers, it only repeats each
request until it is answered.
"""

from __future__ import annotations

import xmlrpc.client
from collections.abc import Iterable, Sequence
from typing import Any

from provision.core.errors import NotReady
from provision.core.model import ClusterSpec, Machine
from provision.core.names import MASTER

GONE = "SoftLayer_Exception_ObjectNotFound"
VAULT = ("softlayer_cancel_username", "softlayer_cancel_api_key")
"""Variables of group_vars/all/vault.yml with the key that the master gets."""


def to_cancel(spec: ClusterSpec, machines: Iterable[Machine]) -> list[str]:
    """Return the ids of machines that the master may cancel, its own last; none unless the user opted in."""
    billed_on = {group.name for group in spec.groups if group.provider == "softlayer"}
    ours = [machine for machine in machines if machine.group in billed_on] if cancels(spec) else []
    return [machine.provider_id for machine in sorted(ours, key=lambda machine: machine.group == MASTER)]


def check(spec: ClusterSpec, given: Iterable[str]) -> None:
    """Check, before anything is made, that the master can be given a key if the user wants that.

    Args:
        spec: the config.
        given: names of the variables that there are.

    Raises:
        NotReady: there is no key.
    """
    missing = [name for name in VAULT if name not in set(given)] if cancels(spec) else []
    if missing:
        raise NotReady(
            where="softlayer.self_cancel",
            what=f"there is no {' and no '.join(missing)}",
            remedy="Put them into group_vars/all/vault.yml (docs/lifetime.md), or remove self_cancel",
        )


def softlayer(guests: Sequence[str], username: str, api_key: str, endpoint: str = "") -> list[dict[str, Any]]:
    """Return the requests that cancel guests, in this order.

    Args:
        guests: their ids.
        username: of a key that may do nothing but cancel servers.
        api_key: the key.
        endpoint: of the XML-RPC API; default: the one in the settings of SoftLayer's client on this computer.
    """
    base = (endpoint or _endpoint()).rstrip("/")
    return [
        {
            "what": f"cancel guest {guest}",
            "url": f"{base}/SoftLayer_Virtual_Guest",
            "body": xmlrpc.client.dumps(
                (
                    {
                        "headers": {
                            "authenticate": {"username": username, "apiKey": api_key},
                            "SoftLayer_Virtual_GuestInitParameters": {"id": int(guest)},
                        }
                    },
                ),
                "deleteObject",
            ),
            "refused": "<fault>",
            "done": GONE,
        }
        for guest in guests
    ]


def _endpoint() -> str:
    import SoftLayer.config  # a second, and only who opted in needs it

    return str(SoftLayer.config.get_client_settings()["endpoint_url"])


def cancels(spec: ClusterSpec) -> bool:
    """Return whether the user lets the master cancel the SoftLayer machines of its cluster."""
    return bool(dict(spec.options.get("softlayer", {})).get("self_cancel"))
