"""An ordinary web server, with the faults that ordinary web servers have.

On loopback within a test; as a program (`python3 web.py FOLDER`) it serves a folder on port PORT of a machine,
with the faults in its `faults.json` (fields of WebServer), and adds what it has sent to `sent.json`.
"""

from __future__ import annotations

import json
import re
import socket
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PORT = 8097
BLOCK = 64 << 10


class WebServer(ThreadingHTTPServer):
    """Serves `files` by path.

    Fields: `ranges` (whether it gives any); `says`: path -> HTTP statuses that it answers first, in turn;
    `headers`: path -> headers of its answers; `cuts`: path -> after how many bytes the next connections break;
    `asked`: paths in the order of requests; `busiest`: the most requests that were served at the same time; `pause_s`: after each BLOCK.
    """

    daemon_threads = True

    def __init__(self, address: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        super().__init__(address, Handler)
        self.files: dict[str, bytes] = {}
        self.ranges = True
        self.says: dict[str, list[int]] = {}
        self.headers: dict[str, dict[str, str]] = {}
        self.cuts: dict[str, list[int]] = {}
        self.asked: list[str] = []
        self.sent: Counter[str] = Counter()
        self.busy = self.busiest = 0
        self.pause_s = 0.0
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def put(self, path: str, content: bytes, parts: int = 1) -> list[str]:
        """Serve a file, in parts `path.001`… where there are several; return their addresses."""
        if parts == 1:
            self.files[path] = content
            return [self.url + path]
        length = -(-len(content) // parts)
        names = [f"{path}.{number:03d}" for number in range(1, parts + 1)]
        for number, name in enumerate(names):
            self.files[name] = content[number * length : (number + 1) * length]
        return [self.url + name for name in names]

    def server_close(self) -> None:
        """End the loop, too: one whose socket is closed would go round and round until the tests end."""
        self.shutdown()
        super().server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """Connections that break are no news."""


class Handler(BaseHTTPRequestHandler):
    """See WebServer."""

    protocol_version = "HTTP/1.1"
    server: WebServer

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer as the server was told."""
        server, path = self.server, self.path.partition("?")[0]
        self.left = False
        with server.lock:
            server.asked.append(path)
            server.busy += 1
            server.busiest = max(server.busiest, server.busy)
            says, cuts = server.says.get(path) or [], server.cuts.get(path) or []
            status = says.pop(0) if says else 0
            cut = cuts.pop(0) if cuts and not status else -1
        try:
            self._answer(path, status or (200 if path in server.files else 404), cut)
        finally:
            self._leave()

    def _leave(self) -> None:
        """Count the request as served: before its last byte, after which the client may send the next one."""
        if not self.left:
            self.left = True
            with self.server.lock:
                self.server.busy -= 1

    def _answer(self, path: str, status: int, cut: int) -> None:
        content = self.server.files.get(path, b"") if status == 200 else b"no"
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        extra = dict(self.server.headers.get(path, {}))
        if status == 200 and asked and self.server.ranges:
            begin, end = int(asked[1]), min(int(asked[2] or len(content)) + 1, len(content))
            extra.setdefault("Content-Range", f"bytes {begin}-{end - 1}/{len(content)}")
            content, status = content[begin:end], 206
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        for name, value in extra.items():
            self.send_header(name, value)
        content = content if cut < 0 else content[:cut]
        if not content:
            self._leave()
        self.end_headers()
        for begin in range(0, len(content), BLOCK):
            if begin + BLOCK >= len(content):
                self._leave()
            self.wfile.write(content[begin : begin + BLOCK])
            with self.server.lock:
                self.server.sent[path] += len(content[begin : begin + BLOCK])
            time.sleep(self.server.pause_s)
        if cut >= 0:
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True


def main() -> None:
    """Serve a folder until killed."""
    folder = Path(sys.argv[1])
    server = WebServer(("", PORT))
    server.files = {
        f"/{path.relative_to(folder)}": path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }
    for name, value in json.loads(server.files.get("/faults.json", b"{}")).items():
        setattr(server, name, value)
    while True:
        time.sleep(0.5)
        (folder / "sent.json").write_text(json.dumps(server.sent))


if __name__ == "__main__":
    main()
