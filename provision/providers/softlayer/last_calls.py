"""What the master of a cluster asks the API for at the end, when machines that are off would bill on.

Rendered here, sent there (roles/lifetime): the master knows nothing of providers, it only repeats each
request until it is answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

GONE = "SoftLayer_Exception_ObjectNotFound"
KEY = ("softlayer_cancel_username", "softlayer_cancel_api_key")
"""Variables of group_vars/all/vault.yml with the key that the master gets."""
ENDPOINT = "softlayer_cancel_endpoint"
"""Variable with the API's address, where it is not the one in the settings of SoftLayer's client."""


def requests(guests: Sequence[str], username: str, api_key: str, endpoint: str = "") -> list[dict[str, Any]]:
    """Return the requests that cancel guests, in this order.

    Args:
        guests: their ids.
        username: of a key that may do nothing but cancel servers.
        api_key: the key.
        endpoint: of the XML-RPC API; default: the one in the settings of SoftLayer's client on this computer.
    """
    from xmlrpc.client import dumps  # brings a client of HTTP, and only who opted in needs it

    base = (endpoint or _endpoint()).rstrip("/")
    return [
        {
            "what": f"cancel guest {guest}",
            "url": f"{base}/SoftLayer_Virtual_Guest",
            "body": dumps(
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
    import SoftLayer.consts

    # Settings that come from the environment alone name no endpoint; the client then takes this one, too.
    settings = SoftLayer.config.get_client_settings()
    return str(settings.get("endpoint_url") or SoftLayer.consts.API_PUBLIC_ENDPOINT)
