"""EC2's metadata service for one connection: `python metadata.py FILE` answers on the socket that standard input is.

FILE maps paths (`meta-data/instance-id`, `user-data`) to what they answer, as JSON. As on machines that Muster orders,
nothing is answered without a token (IMDSv2). QEMU starts one for each connection that its machine opens (`guestfwd`).
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path

TOKEN = "made-for-this-machine"


def look_up(known: Mapping[str, str], path: str) -> str | None:
    """Return the answer of a path: its own, else the names below it, folders with a slash; None = there is none."""
    if path in known:
        return known[path]
    folder = f"{path.rstrip('/')}/"
    if folder in known:
        return known[folder]
    below = [name.removeprefix(folder).partition("/") for name in known if name.startswith(folder)]
    return "\n".join(sorted({name + slash for name, slash, _ in below})) or None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    known: Mapping[str, str]

    def do_PUT(self) -> None:
        asked = self.path == "/latest/api/token" and "X-aws-ec2-metadata-token-ttl-seconds" in self.headers
        self._answer(HTTPStatus.OK if asked else HTTPStatus.BAD_REQUEST, TOKEN if asked else "")

    def do_GET(self) -> None:
        if self.headers.get("X-aws-ec2-metadata-token") != TOKEN:
            self._answer(HTTPStatus.UNAUTHORIZED, "")
            return
        _, _, path = self.path.removeprefix("/").partition("/")  # the first part is a version
        found = look_up(self.known, path)
        self._answer(HTTPStatus.NOT_FOUND if found is None else HTTPStatus.OK, found or "")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: standard error is QEMU's."""

    def _answer(self, status: HTTPStatus, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    Handler.known = json.loads(Path(sys.argv[1]).read_text())
    Handler(socket.socket(fileno=0), ("machine", 0), None)  # type: ignore[arg-type]  # there is no server around it
