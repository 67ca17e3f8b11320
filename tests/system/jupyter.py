"""A client of JupyterLab's server, by its documented REST and websocket interface, as a browser is one."""

from __future__ import annotations

import json
import ssl
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import websocket

CELL_S = 300
"""Seconds that a cell may take; the first one of Spark's starts a session."""


class Server:
    """A server that `./muster notebook --json` has opened.

    Args:
        told: what it printed.
        token: another one than the right one.
    """

    def __init__(self, told: dict[str, str], token: str = "") -> None:
        self.place = urlsplit(told["address"]).netloc
        self.token = token or told["token"]
        self.trusted = ssl.create_default_context(cafile=told["authority"])

    def ask(self, path: str, method: str = "GET", body: Any = None) -> Any:
        """Ask for something below /api. Raises HTTPError."""
        request = urllib.request.Request(
            f"https://{self.place}/api/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"token {self.token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60, context=self.trusted) as answer:  # noqa: S310
            text = answer.read()
        return json.loads(text) if text else None

    @contextmanager
    def kernel(self) -> Iterator[Kernel]:
        """Start a kernel, and end it."""
        known = self.ask("kernels", "POST", {"name": "python3"})
        kernel = Kernel(self, known["id"])
        try:
            yield kernel
        finally:
            kernel.leave()
            self.ask(f"kernels/{known['id']}", "DELETE")

    def channels(self, id: str) -> websocket.WebSocket:
        """Connect with a kernel."""
        return websocket.create_connection(
            f"wss://{self.place}/api/kernels/{id}/channels",
            sslopt={"context": self.trusted},
            header=[f"Authorization: token {self.token}"],
            timeout=CELL_S,
        )


class Kernel:
    """A kernel that runs."""

    def __init__(self, server: Server, id: str) -> None:
        self._server = server
        self.id = id
        self._line = server.channels(id)

    def leave(self) -> None:
        """Close the connection; the kernel goes on."""
        self._line.close()

    def come_back(self) -> None:
        """Connect again, as a browser does: the server closes a connection that answers no pings for long."""
        self.leave()
        self._line = self._server.channels(self.id)

    def begin(self, source: str) -> str:
        """Send a cell; return what its answers refer to."""
        message = uuid.uuid4().hex
        self._line.send(
            json.dumps(
                {
                    "header": {
                        "msg_id": message,
                        "msg_type": "execute_request",
                        "username": "",
                        "session": "s",
                        "version": "5.3",
                    },
                    "parent_header": {},
                    "metadata": {},
                    "content": {"code": source, "silent": False, "store_history": True, "allow_stdin": False},
                    "channel": "shell",
                    "buffers": [],
                }
            )
        )
        return message

    def run(self, source: str) -> str:
        """Run a cell to its end; return what it printed and its value. Fails when it raises."""
        message, text = self.begin(source), ""
        while True:
            told = json.loads(self._line.recv())
            if told["parent_header"].get("msg_id") != message:
                continue
            kind, content = told["msg_type"], told["content"]
            if kind == "stream":
                text += content["text"]
            elif kind in ("execute_result", "display_data"):
                text += content["data"].get("text/plain", "")
            elif kind == "error":
                raise AssertionError(f"{source}\n{content['ename']}: {content['evalue']}\n{text}")
            elif kind == "status" and content["execution_state"] == "idle":
                return text

    def notebook(self, path: Path) -> list[str]:
        """Run all cells of a notebook; return what each has said."""
        cells = json.loads(path.read_text())["cells"]
        return [self.run("".join(cell["source"])) for cell in cells if cell["cell_type"] == "code"]
