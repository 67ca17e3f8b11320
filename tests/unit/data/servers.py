"""A store and a file system on loopback, as small as the clients allow."""

from __future__ import annotations

import json
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    """Counts requests; answers 503 while `down`."""

    daemon_threads = True

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.files: dict[str, bytes] = {}
        self.folders: set[str] = {"/"}
        self.requests: list[str] = []
        self.fails_after: int | None = None
        self.room = 1 << 40
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_args) -> None:
        return

    def answer(self, status: int, content: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def parse(self) -> tuple[str, dict[str, str]]:
        url = urllib.parse.urlsplit(self.path)
        self.server.requests.append(f"{self.command} {self.path}")
        return urllib.parse.unquote(url.path), dict(urllib.parse.parse_qsl(url.query))


class StoreHandler(_Handler):
    """Objects by path /container/key; listing in pages of two."""

    def do_GET(self) -> None:
        path, query = self.parse()
        limit = self.server.fails_after
        if limit is not None and len(self.server.requests) > limit:
            self.answer(503)
        elif "list-type" in query:
            self.list(query)
        elif path in self.server.files:
            self.answer(200, self.server.files[path])
        else:
            self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")

    def do_PUT(self) -> None:
        path, _ = self.parse()
        self.server.files[path] = self.body()
        self.answer(200)

    def list(self, query: dict[str, str]) -> None:
        names = sorted(path.split("/", 2)[2] for path in self.server.files)
        names = [name for name in names if name.startswith(query["prefix"])]
        names = [name for name in names if name > query.get("continuation-token", "")]
        page, more = names[:2], names[2:]
        token = f"<NextContinuationToken>{page[-1]}</NextContinuationToken>" if more else ""
        items = "".join(
            f"<Contents><Key>{n}</Key><Size>{len(self.server.files['/muster/' + n])}</Size></Contents>"
            for n in page
        )
        space = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
        self.answer(200, f"<ListBucketResult {space}>{items}{token}</ListBucketResult>".encode())


class HdfsHandler(_Handler):
    """NameNode and DataNode in one."""

    def do_GET(self) -> None:
        path, query = self.parse()
        operation, path = query.get("op"), path.removeprefix("/webhdfs/v1")
        server = self.server
        if path == "/jmx":
            self.answer(200, json.dumps({"beans": [{"CapacityRemaining": server.room}]}).encode())
        elif operation == "LISTSTATUS":
            self.listing(path)
        elif operation == "OPEN" and path in server.files:
            self.answer(200, json.dumps({"Location": f"{server.url}/data{path}"}).encode())
        elif path.startswith("/data/"):
            self.answer(200, server.files[path.removeprefix("/data")])
        else:
            self.answer(404, b'{"RemoteException": {"exception": "FileNotFoundException"}}')

    def listing(self, path: str) -> None:
        inside = {name: data for name, data in self.server.files.items() if name.rpartition("/")[0] == path}
        if not inside and path not in self.server.folders:
            self.answer(404, b'{"RemoteException": {"exception": "FileNotFoundException"}}')
            return
        entries = [
            {"pathSuffix": name.rpartition("/")[2], "length": len(data), "type": "FILE"}
            for name, data in inside.items()
        ]
        self.answer(200, json.dumps({"FileStatuses": {"FileStatus": entries}}).encode())

    def do_PUT(self) -> None:
        path, query = self.parse()
        operation, path, content = query.get("op"), path.removeprefix("/webhdfs/v1"), self.body()
        server = self.server
        if path.startswith("/data/"):
            server.files[path.removeprefix("/data")] = content
            self.answer(201)
        elif operation == "CREATE":
            self.answer(200, json.dumps({"Location": f"{server.url}/data{path}"}).encode())
        elif operation == "MKDIRS":
            server.folders.add(path)
            self.answer(200, b'{"boolean": true}')
        else:
            new = query["destination"]
            moved = [name for name in server.files if name.startswith(f"{path}/")]
            for name in moved:
                server.files[new + name.removeprefix(path)] = server.files.pop(name)
            self.answer(200, json.dumps({"boolean": bool(moved)}).encode())

    def do_DELETE(self) -> None:
        path = self.parse()[0].removeprefix("/webhdfs/v1")
        for name in [name for name in self.server.files if name == path or name.startswith(f"{path}/")]:
            del self.server.files[name]
        self.answer(200, b'{"boolean": true}')
