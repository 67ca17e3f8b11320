"""The web pages of a cluster on loopback ports of this computer, with the links between them working.

Every page (a port of a node) gets a local port of its own when it is first linked to. What passes is changed
in one way only: `node:port` of a known page becomes `127.0.0.1:<its local port>`. All goes through one SSH
connection to the master, from where the firewall lets them through; only these loopback ports are opened.
"""

from __future__ import annotations

import http.client
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

NAMENODE, DATANODE, MASTER, WORKER, HISTORY = 9870, 9864, 8080, 8081, 18080
APPLICATIONS = range(4040, 4050)
PORTS = frozenset({NAMENODE, DATANODE, MASTER, WORKER, HISTORY, *APPLICATIONS})
LOOPBACK = "127.0.0.1"
CHANGED_TYPES = ("text/html", "text/plain", "application/json", "application/javascript", "text/javascript")
CHANGED_MAXIMUM = 16 * 1024 * 1024  # bytes; anything longer is a download, not a page
NOT_PASSED = frozenset(
    {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
    | {"content-length", "accept-encoding", "host"}
)
LINKS = frozenset({"location", "content-location", "refresh", "link"})
TIMEOUT_S = 60

Dial = Callable[[str, int], Any]  # (node, port) -> something with the methods of a connected socket


class Pages:
    """Local ports for the pages of a cluster.

    Args:
        nodes: the machines' names and their private addresses.
        dial: connects to a port of a node; raises OSError when it cannot.
    """

    def __init__(self, nodes: Mapping[str, str], dial: Dial) -> None:
        self.dial = dial
        self._servers: dict[tuple[str, int], ThreadingHTTPServer] = {}
        self._lock = threading.Lock()
        self._names = {
            **{name: name for name in nodes},
            **{address: name for name, address in nodes.items() if address},
        }
        hosts = "|".join(re.escape(host) for host in sorted(self._names, key=len, reverse=True))
        self._links = re.compile(rf"(?<![\w.-])({hosts}):([0-9]{{2,5}})(?![0-9])") if hosts else None

    def local(self, node: str, port: int) -> str:
        """Return HOST:PORT where the page `port` of `node` is reached; opened now unless it is already."""
        with self._lock:
            server = self._servers.get((node, port))
            if server is None:
                server = self._serve(node, port)
                self._servers[node, port] = server
        return f"{LOOPBACK}:{server.server_address[1]}"

    def rewrite(self, text: str) -> str:
        """Return `text` with every known page's address as its local one."""
        if self._links is None:
            return text

        def replace(match: re.Match[str]) -> str:
            port = int(match[2])
            return self.local(self._names[match[1]], port) if port in PORTS else match[0]

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


class _Open:
    """A line that http.client does not close: it does so once it has the head of an answer.

    With a socket that is nothing, whose file still reads; an SSH channel is gone with the rest of the answer.
    """

    def __init__(self, line: Any) -> None:  # noqa: ANN401  (see Dial)
        self.makefile, self.sendall = line.makefile, line.sendall

    def close(self) -> None:
        """Leave that to whoever has the line."""


class _Connection(http.client.HTTPConnection):
    """An HTTP connection over whatever `dial` brings."""

    def __init__(self, node: str, port: int, dial: Dial) -> None:
        super().__init__(node, port, timeout=TIMEOUT_S)
        self._dial = dial
        self._line: Any = None

    def connect(self) -> None:
        self._line = self._dial(self.host, self.port)
        self._line.settimeout(TIMEOUT_S)
        self.sock = _Open(self._line)

    def hang_up(self) -> None:
        """Close it for good."""
        self.close()
        if self._line is not None:
            self._line.close()


class _Handler(BaseHTTPRequestHandler):
    """Passes one request on to the page behind a local port."""

    pages: ClassVar[Pages]
    node: ClassVar[str]
    port: ClassVar[int]

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""

    def _pass(self) -> None:
        own = self.connection.getsockname()[1]
        if self.headers.get("Host", "") not in (f"{LOOPBACK}:{own}", f"localhost:{own}"):
            self.send_error(403, "Open this page by its own address")  # a foreign page that found the port
            return
        headers = {key: value for key, value in self.headers.items() if key.lower() not in NOT_PASSED}
        headers |= {"Accept-Encoding": "identity", "Connection": "close"}
        length = int(self.headers.get("Content-Length") or 0)
        if length:
            headers["Content-Length"] = str(length)
        connection = _Connection(self.node, self.port, self.pages.dial)
        try:
            connection.request(
                self.command, self.path, body=self._body(length) if length else None, headers=headers
            )
            self._answer(connection.getresponse())
        except (OSError, http.client.HTTPException, EOFError) as error:
            self.send_error(
                502, f"{self.node}:{self.port} does not answer", f"{type(error).__name__}: {error}"
            )
        finally:
            connection.hang_up()

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = _pass  # noqa: N815

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
            if key.lower() not in NOT_PASSED:
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
        """Return a page with its links changed; what is not text after all stays as it is."""
        try:
            return self.pages.rewrite(body.decode(charset)).encode(charset)
        except (UnicodeError, LookupError):
            return body


def through(transport: Any) -> Dial:  # noqa: ANN401  (paramiko's Transport, imported by the caller)
    """Return a Dial that goes through an SSH connection."""

    def dial(node: str, port: int) -> Any:  # noqa: ANN401
        try:
            return transport.open_channel("direct-tcpip", (node, port), (LOOPBACK, 0), timeout=10)
        except Exception as error:  # paramiko's own tree and EOFError alike
            raise OSError(str(error) or type(error).__name__) from error

    return dial
