"""What every request meets first: the password, and what browsers are told to keep out."""

from __future__ import annotations

import hmac

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from muster_node.authorization import basic

USER = "launcher"
HEADERS = {
    # Nothing but what the page itself brings: no scripts, no fonts, nothing from elsewhere.
    "Content-Security-Policy": "default-src 'none'; img-src data:; style-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class Guard:
    """Lets requests with the password through (HTTP's basic authentication). `password`: the cluster's."""

    def __init__(self, app: ASGIApp, password: str) -> None:
        self._app = app
        self._expected = basic(USER, password).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        headers = Headers(scope=scope)
        if not hmac.compare_digest(headers.get("authorization", "").encode(), self._expected):
            challenge = {"WWW-Authenticate": 'Basic realm="launcher", charset="UTF-8"'}
            refusal = PlainTextResponse("This needs the launcher's password\n", 401, challenge)
            await refusal(scope, receive, told)
        elif headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            await PlainTextResponse("Another page has asked for this one\n", 403)(scope, receive, told)
        else:
            await self._app(scope, receive, told)
