"""The web pages of a cluster on loopback ports of this computer, with the links between them working.

Every page (a port of a node) gets a local port of its own when it is first linked to. Of what passes one
thing is changed: `node:port` of a known page becomes `127.0.0.1:<its local port>`; cookies and passwords stay
behind. All goes through one SSH connection to the master, from where the firewall lets it through; only these
loopback ports are opened, for whoever the gate lets in.
"""

from __future__ import annotations

import http.client
import re
import threading
from collections.abc import Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from provision.services.gate import LOOPBACK, Gate, Refused, passes
from provision.ssh.tunnels import Dial, HttpConnection

NAMENODE, DATANODE, MASTER, WORKER, HISTORY, TRACKING = 9870, 9864, 8080, 8081, 18080, 5000
APPLICATIONS = range(4040, 4050)
PORTS = frozenset({NAMENODE, DATANODE, MASTER, WORKER, HISTORY, TRACKING, *APPLICATIONS})
CHANGED_TYPES = ("text/html", "text/plain", "application/json", "application/javascript", "text/javascript")
CHANGED_MAXIMUM = 16 * 1024 * 1024  # bytes; anything longer is a download, not a page
NOT_PASSED = frozenset(
    {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
    | {"content-length", "accept-encoding", "host"}
)
READING = re.compile(
    r"/graphql|/ajax-api/[0-9.]+/mlflow/[\w/-]+/(search|search-datasets|batchGetInfos|metrics)"
)
"""What MLflow's pages ask with POST although it changes nothing."""
LINKS = frozenset({"location", "content-location", "refresh", "link"})


class Pages:
    """Local ports for the pages of a cluster.

    Args:
        nodes: the machines' names and their private addresses.
        dial: connects to a port of a node; raises OSError when it cannot.
        gate: says which requests may pass.
        logins: ports whose pages want a login, and the header Authorization that we send there.
    """

    def __init__(
        self, nodes: Mapping[str, str], dial: Dial, gate: Gate, logins: Mapping[int, str] | None = None
    ) -> None:
        self.dial = dial
        self.gate = gate
        self.logins = dict(logins or {})
        self._servers: dict[tuple[str, int], ThreadingHTTPServer] = {}
        self._lock = threading.Lock()
        self._names = {
            **{name: name for name in nodes},
            **{address: name for name, address in nodes.items() if address},
        }
        hosts = "|".join(re.escape(host) for host in sorted(self._names, key=len, reverse=True))
        self._links = re.compile(rf"(?<![\w.-])({hosts}):([0-9]{{2,5}})(?![0-9])") if hosts else None

    def entrance(self, node: str, port: int) -> str:
        """Return the address that opens the page `port` of `node` in a browser; paths may be added to it."""
        local = self.local(node, port)
        return f"http://{local}/{self.gate.pass_of(int(local.rpartition(':')[2]))}/"

    def is_ours(self, local_port: int) -> bool:
        """Say whether a page is reached at a local port."""
        with self._lock:
            return any(server.server_address[1] == local_port for server in self._servers.values())

    def local(self, node: str, port: int) -> str:
        """Return HOST:PORT where the page `port` of `node` is reached; opened now unless it is already."""
        with self._lock:
            server = self._servers.get((node, port))
            if server is None:
                server = self._serve(node, port)
                self._servers[node, port] = server
        return f"{LOOPBACK}:{server.server_address[1]}"

    def rewrite(self, text: str, *, open_them: bool = False) -> str:
        """Return `text` with every known page's address as its local one, with its pass to `open_them`."""
        if self._links is None:
            return text

        def replace(match: re.Match[str]) -> str:
            node, port = self._names[match[1]], int(match[2])
            if port not in PORTS:
                return match[0]
            if open_them:
                return self.entrance(node, port).removeprefix("http://").rstrip("/")
            return self.local(node, port)

        return self._links.sub(replace, text)

    def close(self) -> None:
        """Close every local port."""
        with self._lock:
            servers = list(self._servers.values())
            self._servers.clear()
        for server in servers:
            server.shutdown()
            server.server_close()

    def _serve(self, node: str, port: int) -> ThreadingHTTPServer:
        handler = type("Handler", (_Handler,), {"pages": self, "node": node, "port": port})
        try:
            server = _Server((LOOPBACK, port), handler)
        except OSError:  # taken here: any free one will do
            server = _Server((LOOPBACK, 0), handler)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
        return server


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = False

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """A browser that went away is nothing to report."""


class _Handler(BaseHTTPRequestHandler):
    """Passes one request on to the page behind a local port."""

    pages: ClassVar[Pages]
    node: ClassVar[str]
    port: ClassVar[int]

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""

    def _pass(self) -> None:
        own = int(self.connection.getsockname()[1])
        try:
            entry = self.pages.gate.enter(
                self.command, self.path, self.headers, own, self.pages.is_ours, asks=self._asks()
            )
        except Refused as refused:
            self.send_error(refused.status, refused.why)
            return
        if entry.cookie:
            self._send_on(entry.path, entry.cookie)
            return
        if "Transfer-Encoding" in self.headers:
            self.send_error(411, "Say how long it is")
            return
        headers = {
            key: value for key, value in self.headers.items() if key.lower() not in NOT_PASSED and passes(key)
        }
        headers |= {"Accept-Encoding": "identity", "Connection": "close"}
        if login := self.pages.logins.get(self.port):
            headers["Authorization"] = login
        length = int(self.headers.get("Content-Length") or 0)
        if length:
            headers["Content-Length"] = str(length)
        connection = HttpConnection(self.node, self.port, self.pages.dial)
        try:
            connection.request(
                self.command, entry.path, body=self._body(length) if length else None, headers=headers
            )
            self._answer(connection.getresponse())
        except (OSError, http.client.HTTPException, EOFError) as error:
            self.send_error(
                502, f"{self.node}:{self.port} does not answer", f"{type(error).__name__}: {error}"
            )
        finally:
            connection.hang_up()

    def _asks(self) -> bool:
        """Say whether a request with POST only asks for something."""
        path = self.path.partition("?")[0]
        return self.port == TRACKING and self.command == "POST" and READING.fullmatch(path) is not None

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = _pass  # noqa: N815

    def _send_on(self, path: str, cookie: str) -> None:
        """Give the browser its cookie, and the address without the pass."""
        self.send_response_only(303)
        self.send_header("Location", f"http://{self.headers['Host']}{path}")
        self.send_header("Set-Cookie", cookie)
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _body(self, length: int) -> Iterable[bytes]:
        while length > 0 and (block := self.rfile.read(min(length, 65536))):
            length -= len(block)
            yield block

    def _answer(self, response: http.client.HTTPResponse) -> None:
        changed = self.command != "HEAD" and response.headers.get_content_type() in CHANGED_TYPES
        length = response.length or 0
        begin = response.read(CHANGED_MAXIMUM + 1) if changed and length <= CHANGED_MAXIMUM else b""
        if begin and len(begin) < length:
            raise http.client.IncompleteRead(begin, length - len(begin))
        whole = changed and 0 < len(begin) <= CHANGED_MAXIMUM
        if whole:
            begin = self._rewritten(begin, response.headers.get_content_charset() or "utf-8")
        self.send_response_only(response.status, response.reason)
        for key, value in response.headers.items():
            if key.lower() not in NOT_PASSED and passes(key):
                self.send_header(key, self.pages.rewrite(value) if key.lower() in LINKS else value)
        if whole:
            self.send_header("Content-Length", str(len(begin)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        self.wfile.write(begin)
        while self.command != "HEAD" and (block := response.read(65536)):
            self.wfile.write(block)

    def _rewritten(self, body: bytes, charset: str) -> bytes:
        """Return a page with its links changed; what is not text after all stays as it is.

        HDFS's file browser asks where a file is, and fetches it there itself, without our cookie.
        """
        asks = "noredirect=true" in self.path
        try:
            return self.pages.rewrite(body.decode(charset), open_them=asks).encode(charset)
        except (UnicodeError, LookupError):
            return body
