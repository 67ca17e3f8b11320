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
# What the API says in words, in lower case, where its codes do not tell: most are SoftLayer_Exception_Public.
_BAD_CREDENTIALS = ("invalid api token", "invalid username/password")
_DENIED = "access denied."
"""That and no more is said of bad credentials; with more words it may be said of anything."""
_NO_ROOM = (
    "insufficientresources",
    "insufficientcapacity",
    "insufficient capacity",
    "insufficient resources",
)
_BUSY = ("active transaction", "outstanding transaction", "softlayer_exception_notready")
_ALREADY = ("alreadyhalted", "alreadyrunning")
_TOO_MANY = ("maximum number", "limit of", "limit has", "limit for", "limit on", "quota")
_UNCLEAR_WORDS = ("internal", "try again", "unexpected", "timed out", "timeout")
_INTERNAL = "internal error"
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
    """The machine has an active transaction, or is not ready for this yet."""
    ALREADY = auto()
    """The machine is off or on already, as was asked for."""
    MISSING = auto()
    """There is no such thing (any more)."""
    REFUSED = auto()
    """The API says no, and nothing was done."""


class ApiError(ProviderError):
    """A call of the API failed. Fields: `kind`; `internal` (a list that failed so may have been too long)."""

    def __init__(self, *, kind: Kind, what: str, remedy: str = "") -> None:
        self.kind = kind
        self.internal = kind is Kind.UNCLEAR and _INTERNAL in what.lower()
        super().__init__(provider=NAME, where="SoftLayer", what=what, remedy=remedy)


def explain(error: Exception) -> MusterError:
    """Return the error to raise for what the client raised: NotReady for wrong credentials, else ApiError."""
    code, text = _words(error)
    if code == "401" or "Unauthorized" in code or _any(_BAD_CREDENTIALS, text) or text.lower() == _DENIED:
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
    if kind is Kind.REFUSED and _any(_TOO_MANY, text):
        return ApiError(
            kind=kind,
            what=text,
            remedy="IBM limits how many public servers an account may have, stopped ones included "
            "(docs/softlayer.md, Limits): destroy some, or ask IBM's support for more",
        )
    return ApiError(kind=kind, what=text)


def _words(error: Exception) -> tuple[str, str]:
    code = str(getattr(error, "faultCode", type(error).__name__))
    text = one_line(str(getattr(error, "faultString", "") or error or type(error).__name__))
    return code, text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _any(words: tuple[str, ...], text: str) -> bool:
    return any(word in text.lower() for word in words)


def _kind(error: Exception, code: str, text: str) -> Kind:
    known = f"{code} {text}"
    if code == "429" or "RateLimitExceeded" in known:
        return Kind.THROTTLED
    if code == "0" or isinstance(error, requests.RequestException):
        return Kind.UNSENT if _never_sent(error) else Kind.UNCLEAR
    if "ObjectNotFound" in code:
        return Kind.MISSING
    for kind, words in ((Kind.NO_ROOM, _NO_ROOM), (Kind.BUSY, _BUSY), (Kind.ALREADY, _ALREADY)):
        if _any(words, known):
            return kind
    if code.startswith("SoftLayer_Exception") and not _any(_UNCLEAR_WORDS, text):
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
