"""What comes from outside passes through here before it names a file, an interface or a process."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import IPv4Network
from typing import Any

from .errors import HelperError
from .registry import PRIVATE

NAME = re.compile(r"[a-z](?:[a-z0-9-]{0,39}[a-z0-9])?")
STORE = re.compile(rf"{NAME.pattern}(?:\.[0-9]{{1,10}})?")
HEX = re.compile(r"[0-9a-f]{8}")
TOKEN = re.compile(r"[A-Za-z0-9._-]{1,80}")
LABEL = re.compile(r"[A-Za-z0-9._:/@ +=-]{0,200}")
PUBLIC_KEY = re.compile(
    r"(?:ssh-ed25519|ecdsa-sha2-nistp\d{3}|ssh-rsa) [A-Za-z0-9+/=]{20,2000}(?: [\w.@:+-]{0,100})?"
)


def _match(pattern: re.Pattern[str], value: object, what: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise HelperError(f"{what} {value!r} is not allowed (expected {pattern.pattern})", kind="refused")
    return value


def name(value: object, what: str = "name") -> str:
    """A host, cluster, group or store name: lower-case letters, digits and hyphens, at most 41."""
    return _match(NAME, value, what)


def store(value: object) -> str:
    """The name of an object store; `NAME.UID` is another user's."""
    return _match(STORE, value, "store")


def hex_id(value: object, what: str = "cluster id") -> str:
    """Eight hexadecimal digits."""
    return _match(HEX, value, what)


def token(value: object, what: str = "token") -> str:
    """A client token, or the key of an image: a single path component that is not special."""
    text = _match(TOKEN, value, what)
    if text.startswith("."):
        raise HelperError(f"{what} {text!r} may not begin with a dot", kind="refused")
    return text


def image_key(value: object) -> str:
    """The key of an image; empty for the bare base."""
    return "" if value in ("", None) else token(value, "image key")


def number(value: object, what: str, low: float, high: float) -> float:
    """A number between `low` and `high`, both included."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise HelperError(f"{what} {value!r} is not a number from {low:g} to {high:g}", kind="refused")
    return value


def text(value: object, what: str, limit: int) -> str:
    """Free text without NUL, at most `limit` bytes."""
    if not isinstance(value, str) or "\0" in value or len(value.encode()) > limit:
        raise HelperError(f"{what} is not text of at most {limit} bytes", kind="refused")
    return value


def labels(value: object) -> dict[str, str]:
    """Short labels of a machine."""
    if not isinstance(value, Mapping) or len(value) > 50:
        raise HelperError("labels are not a short mapping", kind="refused")
    return {_match(LABEL, k, "label"): _match(LABEL, v, f"label {k}") for k, v in value.items()}


def public_key(value: object) -> str:
    """One OpenSSH public key on one line."""
    return _match(PUBLIC_KEY, value.strip() if isinstance(value, str) else value, "public key")


def subnet(value: object) -> str:
    """A private /24 in CIDR notation; empty when the helper shall choose."""
    if value in ("", None):
        return ""
    try:
        network = IPv4Network(str(value))
    except ValueError as error:
        raise HelperError(f"subnet {value!r}: {error}; write it as a.b.c.0/24", kind="refused") from None
    if network.prefixlen != 24 or not any(network.subnet_of(IPv4Network(one)) for one in PRIVATE):
        raise HelperError(f"subnet {value} is not a /24 inside {', '.join(PRIVATE)}", kind="refused")
    return str(network)


def names(value: object, what: str = "names") -> list[str]:
    """A list of distinct names, one to 250."""
    if not isinstance(value, list) or not 1 <= len(value) <= 250 or len(set(map(str, value))) != len(value):
        raise HelperError(f"{what} is not a list of 1 to 250 distinct names", kind="refused")
    return [name(one) for one in value]


def mapping(value: object, what: str) -> dict[str, Any]:
    """A JSON object; missing counts as empty."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise HelperError(f"{what} is not a mapping", kind="refused")
    return value
