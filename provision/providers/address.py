"""This computer's own address as the internet sees it, which machines in a cloud let in by default."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from pydantic import field_validator

from provision.core.errors import NotReady
from provision.core.networks import told_address
from provision.core.schema import SettingsModel, wrong

ADDRESS_SERVICE = "https://checkip.amazonaws.com"
"""Answers with the address that a request came from."""
_ANSWER_S = 10.0
_LONGEST = 1000
"""Bytes of an answer that are read."""


class AddressService(SettingsModel):
    """Key of the block of a provider whose machines let in this computer alone, unless told otherwise."""

    address_service: str = ADDRESS_SERVICE

    @field_validator("address_service")
    @classmethod
    def _address_service(cls, value: str) -> str:
        if not urlsplit(value).hostname:
            raise wrong(f"{value!r} is no URL", f"Write it like {ADDRESS_SERVICE}")
        if not _is_safe(value):
            raise wrong(
                f"{value!r} can be answered by anybody on the way, who would choose who reaches SSH",
                f"Name one with https, like {ADDRESS_SERVICE}",
            )
        return value


def own_address(service: str) -> str:
    """Return this computer's address as a service on the internet sees it.

    Raises:
        NotReady: it does not tell one; the text says what it told, and never has the answer itself.
    """
    import http.client  # the inventory, which reads the models, asks nobody
    import urllib.error
    import urllib.request

    try:
        with urllib.request.urlopen(service, timeout=_ANSWER_S) as answer:  # noqa: S310  (validated)
            if not _is_safe(answer.url):
                raise ValueError("a place without https to ask instead")
            return told_address(answer.read(_LONGEST).decode("ascii", "replace"))
    except urllib.error.HTTPError as error:
        found = f"it answers with status {error.code}"
    except (ValueError, http.client.HTTPException) as error:
        found = f"it tells {error}" if isinstance(error, ValueError) else "its answer is no HTTP"
    except OSError as error:
        found = f"{getattr(error, 'reason', '') or error}"
    raise NotReady(
        where=service,
        what=f"this computer's address as the internet sees it cannot be found out: {found}",
        remedy="Say who may log in with allow_from, for example [203.0.113.7/32]",
    )


def _is_safe(url: str) -> bool:
    """Return whether nobody on the way can answer instead: https, or this computer itself."""
    parts = urlsplit(url)
    if parts.scheme == "https":
        return True
    host = parts.hostname or ""
    try:
        here = ip_address(host).is_loopback
    except ValueError:
        here = host == "localhost"
    return parts.scheme == "http" and here
