"""The emulated API on a loopback port: the library's own test server, with the faults of a real one."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from SoftLayer import SoftLayerAPIError
from SoftLayer.testing import xmlrpc
from SoftLayer.transports import Request

from tests.emulators.softlayer.books import Books
from tests.emulators.softlayer.guests import Delays
from tests.emulators.softlayer.machines import Machines, Paper

USERNAME, API_KEY = "emulated", "e" * 64
CANCELLER, CANCEL_KEY = "cancel-only", "c" * 64
"""Another user of the account, who may do nothing but cancel servers."""
_answering = threading.local()


@dataclass
class Fault:
    """What goes wrong with the next `times` calls of a method ('' = any).

    `kind`: lost = carried out, but the connection breaks before the answer · late = carried out, and the
    client gives up waiting · half = as lost, but of an order only the first half is carried out · dropped, held =
    not carried out · 500 and 500 after · throttled ·
    a code and a text, `SoftLayer_Exception_…: text` = refused.
    """

    method: str
    kind: str
    times: int = 1
    skip: int = 0
    """Calls of the method that pass before."""


class _BrokenError(BaseException):
    """The connection breaks here; not an Exception, which the library's server would answer."""


class _StatusError(BaseException):
    """Answer with an HTTP status."""


class _Handler(xmlrpc.TestHandler):
    def do_POST(self) -> None:  # noqa: N802  the library's name
        _answering.total = None
        try:
            super().do_POST()
        except _BrokenError:
            self.close_connection = True
        except _StatusError:
            self.send_response(500)
            self.end_headers()

    def end_headers(self) -> None:
        if _answering.total is not None:
            self.send_header("softlayer-total-items", str(_answering.total))
        super().end_headers()


class Emulator:
    """An account with its API. `calls` counts methods; `home` is where its client's settings lie."""

    def __init__(self, home: Path, machines: Machines | None = None, delays: Delays | None = None) -> None:
        self.home = home
        self.machines: Any = machines or Paper()
        self.books = Books(self.machines, delays or Delays())
        self.calls: Counter[str] = Counter()
        self.faults: list[Fault] = []
        self.per_second = 50
        self._recent: deque[float] = deque()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._servers: list[Any] = []
        self.endpoint = self.listen("127.0.0.1")
        """The API's address."""
        self.write_settings()

    def listen(self, address: str) -> str:
        """Answer at an address of this computer, too; return the API's address there."""
        server = xmlrpc.create_test_server(self._transport, address)
        server.RequestHandlerClass = _Handler
        self._servers.append(server)
        return f"http://{address}:{server.server_port}"

    def write_settings(self, *, username: str = USERNAME, api_key: str = API_KEY, endpoint: str = "") -> None:
        """Write the client's settings file."""
        self.home.mkdir(parents=True, exist_ok=True)
        text = f"[softlayer]\nusername = {username}\napi_key = {api_key}\nendpoint_url = {endpoint or self.endpoint}\n"
        (self.home / ".softlayer").write_text(text)

    def environment(self, given: dict[str, str]) -> dict[str, str]:
        """Return the environment of a command that must find this account and no other."""
        kept = {
            key: value
            for key, value in given.items()
            if not key.startswith("SL_") and not key.lower().endswith("_proxy")
        }
        return kept | {"HOME": str(self.home)}

    def fault(self, method: str, kind: str, *, times: int = 1, skip: int = 0) -> None:
        """Let something go wrong; see `Fault`."""
        self.faults.append(Fault(method, kind, times, skip))

    def add_image(self, name: str) -> None:
        """Add a private image template."""
        number = len(self.books.images) + 1
        self.books.images.append(
            {
                "id": number,
                "globalIdentifier": f"00000000-0000-4000-8000-{number:012}",
                "name": name,
                "createDate": "2026-01-01T00:00:00-06:00",
            }
        )

    def close(self) -> None:
        """End the API and take the machines away."""
        self._closing.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()
        self.machines.close()

    def _transport(self, request: Request) -> Any:
        kind = self._admit(request)
        if kind == "throttled":
            raise SoftLayerAPIError(
                "SoftLayer_Exception_WebService_RateLimitExceeded",
                f"Rate limit of {self.per_second} requests for every 1 second(s) exceeded.",
            )
        if kind == "500":
            raise _StatusError
        if kind == "dropped":
            raise _BrokenError
        if kind == "held":
            self._closing.wait(60)
            raise _BrokenError
        if kind.startswith("SoftLayer_"):
            code, _, text = kind.partition(": ")
            raise SoftLayerAPIError(code, text)
        if kind == "half" and request.method == "createObjects":
            request.args = ([*request.args[0][: len(request.args[0]) // 2]],)
            if not request.args[0]:
                raise _BrokenError
        answer, _answering.total = self.books.answer(request)
        if kind == "500 after":
            _answering.total = None
            raise _StatusError
        if kind in ("lost", "half"):
            raise _BrokenError
        if kind == "late":
            self._closing.wait(60)
            raise _BrokenError
        return answer

    def _admit(self, request: Request) -> str:
        """Count a call, check who makes it; return the kind of fault that it meets."""
        with self._lock:
            now = time.monotonic()
            self.calls[request.method] += 1
            while self._recent and self._recent[0] < now - 1:
                self._recent.popleft()
            if len(self._recent) >= self.per_second:
                return "throttled"
            self._recent.append(now)
            who = request.headers.get("authenticate") or {}
            known = {USERNAME: API_KEY, CANCELLER: CANCEL_KEY}
            if known.get(who.get("username", "")) != who.get("apiKey"):
                return "SoftLayer_Exception: Invalid API token."
            if who["username"] == CANCELLER and request.method != "deleteObject":
                return "SoftLayer_Exception_NotAuthorized: You do not have permission to do this."
            for fault in self.faults:
                if fault.method in ("", request.method) and fault.times:
                    if fault.skip:
                        fault.skip -= 1
                        continue
                    fault.times -= 1
                    return fault.kind
        return ""
