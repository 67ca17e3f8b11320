"""What the API's many ways to fail mean, in a few kinds and one line each."""

from __future__ import annotations

from enum import Enum, auto
from xml.parsers.expat import ExpatError
from xmlrpc.client import Error as XmlRpcError

import requests
import SoftLayer

from provision.core.errors import MusterError, NotReady, ProviderError, one_line
from provision.providers.softlayer.facts import FACTS

NAME = FACTS.name
CAUGHT = (SoftLayer.SoftLayerError, requests.RequestException, XmlRpcError, ExpatError)
"""What the client may raise; the last two when an answer is cut short or is no answer of the API."""

_NEVER_SENT = (
    requests.exceptions.ConnectTimeout,
    requests.exceptions.SSLError,
    requests.exceptions.ProxyError,
    requests.exceptions.InvalidURL,
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidSchema,
)
_NO_ROOM = ("InsufficientResources", "InsufficientCapacity")
_UNCLEAR_WORDS = ("internal", "try again", "unexpected", "timed out", "timeout")
_LONGEST = 300


class Kind(Enum):
    """What a failed call means for the caller."""

    UNSENT = auto()
    """The request did not leave this computer."""
    THROTTLED = auto()
    """Turned away at the door; nothing was done."""
    UNCLEAR = auto()
    """No answer, or none that says whether it was done."""
    NO_ROOM = auto()
    """There is no capacity in this datacenter now."""
    BUSY = auto()
    """The machine has an active transaction."""
    MISSING = auto()
    """There is no such thing (any more)."""
    REFUSED = auto()
    """The API says no, and nothing was done."""


class ApiError(ProviderError):
    """A call of the API failed. Field: `kind`."""

    def __init__(self, *, kind: Kind, what: str, remedy: str = "") -> None:
        self.kind = kind
        super().__init__(provider=NAME, where="SoftLayer", what=what, remedy=remedy)


def explain(error: Exception) -> MusterError:
    """Return the error to raise for what the client raised: NotReady for wrong credentials, else ApiError."""
    code, text = _words(error)
    if code == "401" or "Invalid API token" in text or "Unauthorized" in code:
        return NotReady(
            where="SoftLayer",
            what="the credentials are refused",
            remedy="Check username and api_key in ~/.softlayer, or SL_USERNAME and SL_API_KEY",
        )
    if "PermissionDenied" in code or "NoPermission" in code or code == "403":
        return ApiError(
            kind=Kind.REFUSED,
            what=f"this user may not do that: {text}",
            remedy="docs/softlayer.md lists the permissions",
        )
    kind = _kind(error, code, text)
    if kind is Kind.UNSENT:
        return ApiError(
            kind=kind,
            what=f"the API cannot be reached ({text})",
            remedy="Check the network, and endpoint_url in ~/.softlayer",
        )
    return ApiError(kind=kind, what=text)


def _words(error: Exception) -> tuple[str, str]:
    code = str(getattr(error, "faultCode", type(error).__name__))
    text = one_line(str(getattr(error, "faultString", "") or error or type(error).__name__))
    return code, text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _kind(error: Exception, code: str, text: str) -> Kind:
    known = f"{code} {text}"
    if code == "429" or "RateLimitExceeded" in known:
        return Kind.THROTTLED
    if code == "0" or isinstance(error, requests.RequestException):
        return Kind.UNSENT if _never_sent(error) else Kind.UNCLEAR
    if any(word in known for word in _NO_ROOM):
        return Kind.NO_ROOM
    if "ObjectNotFound" in code:
        return Kind.MISSING
    if "active transaction" in text.lower():
        return Kind.BUSY
    if code.startswith("SoftLayer_Exception") and not any(word in text.lower() for word in _UNCLEAR_WORDS):
        return Kind.REFUSED
    return Kind.UNCLEAR


def _never_sent(error: BaseException) -> bool:
    """Whether the connection was not even made; the client hides what happened below its own error."""
    seen: set[int] = set()
    todo: list[object] = [error]
    while todo:
        cause = todo.pop()
        if not isinstance(cause, BaseException) or id(cause) in seen:
            continue
        seen.add(id(cause))
        if isinstance(cause, _NEVER_SENT) or type(cause).__name__ == "NewConnectionError":
            return True
        todo += [cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args]
    return False
