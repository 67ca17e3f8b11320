"""A store and a file system on loopback, as small as the clients allow."""

from __future__ import annotations

import hashlib
import json
import re
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
        self.token_left = 0
        self.token_serves = 1000
        self.dynamic: dict[str, str] = {}  # of Swift: path -> container and prefix of the segments
        self.parts: dict[str, dict[int, bytes]] = {}
        self.broken_upload = False
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def server_close(self) -> None:
        """End the loop, too: one whose socket is closed would go round and round until the tests end."""
        self.shutdown()
        super().server_close()

    def handle_error(self, *_where: object) -> None:
        """Print nothing: a client that goes away in the middle is what some tests are about."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and content are two packets
    server: Server

    def log_message(self, *_args: object) -> None:
        return

    def answer(self, status: int, content: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def send_object(self, content: bytes) -> None:
        """Answer with an object, or with the range of it that is asked for."""
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if asked:
            self.answer(206, content[int(asked[1]) : int(asked[2]) + 1])
        else:
            self.answer(200, content)

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
            self.send_object(self.server.files[path])
        else:
            self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_PUT(self) -> None:
        path, query = self.parse()
        if "partNumber" in query:
            self.server.parts[query["uploadId"]][int(query["partNumber"])] = content = self.body()
            self.send_response(200)
            self.send_header("ETag", hashlib.md5(content, usedforsecurity=False).hexdigest())
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self.server.files[path] = self.body()
            self.answer(200)

    def do_POST(self) -> None:
        """Begin an upload in parts, or put the parts together that are named, in that order."""
        path, query = self.parse()
        body = self.body()
        if "delete" in self.path:
            for key in re.findall(r"<Key>(.*?)</Key>", body.decode()):
                self.server.files.pop(f"{path}/{key}", None)
            self.answer(200, b"<DeleteResult/>")
        elif "uploadId" not in query:
            self.server.parts["u1"] = {}
            space = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
            self.answer(200, f"<R {space}><UploadId>u1</UploadId></R>".encode())
        elif self.server.broken_upload:
            self.answer(200, b"<Error><Code>InternalError</Code><Message>try again</Message></Error>")
        else:
            parts = self.server.parts.pop(query["uploadId"])
            named = [int(each) for each in re.findall(rb"<PartNumber>(\d+)<", body)]
            tags = [each.decode() for each in re.findall(rb"<ETag>(\w+)<", body)]
            right = [hashlib.md5(parts[n], usedforsecurity=False).hexdigest() for n in named]
            assert tags == right
            self.server.files[path] = b"".join(parts[number] for number in named)
            self.answer(200, b"<CompleteMultipartUploadResult/>")

    def do_DELETE(self) -> None:
        path, query = self.parse()
        if "uploadId" in query:
            self.server.parts.pop(query["uploadId"], None)
        else:
            self.server.files.pop(path, None)
        self.answer(204)

    def list(self, query: dict[str, str]) -> None:
        names = sorted(path.split("/", 2)[2] for path in self.server.files)
        names = [name for name in names if name.startswith(query["prefix"])]
        names = [name for name in names if name > query.get("continuation-token", "")]
        page, more = names[:2], names[2:]
        token = f"<NextContinuationToken>{page[-1]}</NextContinuationToken>" if more else ""
        token += f"<IsTruncated>{str(bool(more)).lower()}</IsTruncated>"
        items = "".join(
            f"<Contents><Key>{n}</Key><Size>{len(self.server.files['/muster/' + n])}</Size>"
            "<ETag>&quot;x&quot;</ETag></Contents>"
            for n in page
        )
        space = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
        self.answer(200, f"<ListBucketResult {space}>{items}{token}</ListBucketResult>".encode())


class HdfsHandler(_Handler):
    """NameNode and DataNode in one."""

    def location(self, path: str) -> bytes:
        """Say where a DataNode has a file, as the real one does: letters beyond ASCII stand as they are."""
        quoted = "".join(letter if ord(letter) > 127 else urllib.parse.quote(letter) for letter in path)
        return json.dumps({"Location": f"{self.server.url}/data{quoted}"}).encode()

    def do_GET(self) -> None:
        path, query = self.parse()
        operation, path = query.get("op"), path.removeprefix("/webhdfs/v1")
        server = self.server
        if path == "/jmx":
            self.answer(200, json.dumps({"beans": [{"CapacityRemaining": server.room}]}).encode())
        elif operation == "LISTSTATUS":
            self.listing(path)
        elif operation == "OPEN" and path in server.files:
            self.answer(200, self.location(path))
        elif path.startswith("/data/"):
            self.answer(200, server.files[path.removeprefix("/data")])
        else:
            self.answer(404, b'{"RemoteException": {"exception": "FileNotFoundException"}}')

    def listing(self, path: str) -> None:
        below = {name.removeprefix(f"{path}/") for name in self.server.files if name.startswith(f"{path}/")}
        if not below and path not in self.server.folders:
            self.answer(404, b'{"RemoteException": {"exception": "FileNotFoundException"}}')
            return
        files = {
            name: self.server.files.get(f"{path}/{name}") for name in {each.split("/")[0] for each in below}
        }
        entries = [
            {"pathSuffix": name, "length": len(data or b""), "type": "DIRECTORY" if data is None else "FILE"}
            for name, data in sorted(files.items())
        ]
        self.answer(200, json.dumps({"FileStatuses": {"FileStatus": entries}}).encode())

    def do_PUT(self) -> None:
        path, query = self.parse()
        operation, path, content = query.get("op"), path.removeprefix("/webhdfs/v1"), self.body()
        server = self.server
        if path.startswith("/data/") and len(content) < int(self.headers["Content-Length"]):
            self.close_connection = True  # its writer is gone: one that came since has the lease
        elif path.startswith("/data/"):
            server.files[path.removeprefix("/data")] = content
            self.answer(201)
        elif operation == "CREATE":
            self.answer(200, self.location(path))
        elif operation == "MKDIRS":
            server.folders.add(path)
            self.answer(200, b'{"boolean": true}')
        elif query.get("renameoptions") == "OVERWRITE":
            server.files[query["destination"]] = server.files.pop(path)
            self.answer(200)
        else:
            new = query["destination"]
            moved = [name for name in server.files if name.startswith(f"{path}/")]
            for name in moved:
                server.files[new + name.removeprefix(path)] = server.files.pop(name)
            self.answer(200, json.dumps({"boolean": bool(moved)}).encode())

    def do_POST(self) -> None:
        path, query = self.parse()
        files = self.server.files
        for other in query["sources"].split(","):
            files[path.removeprefix("/webhdfs/v1")] += files.pop(other)
        self.answer(200)

    def do_DELETE(self) -> None:
        path = self.parse()[0].removeprefix("/webhdfs/v1")
        for name in [name for name in self.server.files if name == path or name.startswith(f"{path}/")]:
            del self.server.files[name]
        self.answer(200, b'{"boolean": true}')


class SwiftHandler(_Handler):
    """Auth version 1 and one account. Knows large objects of both kinds; listings are in pages of two."""

    def do_GET(self) -> None:
        path, query = self.parse()
        if path == "/auth/v1.0":
            self.log_in()
        elif self.let_in():
            if path.count("/") == 3:
                self.list(path, query)
            elif path not in self.server.files:
                self.answer(404)
            elif "multipart-manifest" in query:
                self.answer(200, self.manifest(path))
            else:
                self.send_object(self.whole(path))

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_PUT(self) -> None:
        path, query = self.parse()
        body = self.body()
        if self.let_in():
            if "multipart-manifest" in query:
                self.server.folders.add(path)
            self.server.files[path] = body
            self.answer(201, etag=hashlib.md5(body, usedforsecurity=False).hexdigest())

    def do_DELETE(self) -> None:
        path, query = self.parse()
        if self.let_in():
            if "multipart-manifest" in query:
                for part in json.loads(self.server.files[path]):
                    del self.server.files[f"/v1/me/{part['path']}"]
            self.answer(204 if self.server.files.pop(path, None) is not None else 404)

    def parse(self) -> tuple[str, dict[str, str]]:
        path, query = super().parse()
        return path, query | ({"multipart-manifest": "x"} if "multipart-manifest" in self.path else {})

    def log_in(self) -> None:
        right = (self.headers["X-Auth-User"], self.headers["X-Auth-Key"]) == ("me:you", "secret")
        self.server.token_left = self.server.token_serves
        self.send_response(200 if right else 401)
        self.send_header("X-Auth-Token", "tk")
        self.send_header("X-Storage-Url", f"{self.server.url}/v1/me")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def let_in(self) -> bool:
        self.server.token_left -= 1
        if self.server.token_left < 0 or self.headers["X-Auth-Token"] != "tk":
            self.answer(401)
            return False
        return True

    def manifest(self, path: str) -> bytes:
        """Tell the segments of a static large object as the server does, which is not as they are told to it."""
        told = json.loads(self.server.files[path])
        entries = [
            {"name": f"/{each['path']}", "bytes": each["size_bytes"], "hash": each["etag"]} for each in told
        ]
        return json.dumps(entries).encode()

    def whole(self, path: str) -> bytes:
        content = self.server.files[path]
        if path in self.server.folders:
            return b"".join(self.server.files[f"/v1/me/{part['path']}"] for part in json.loads(content))
        if prefix := self.server.dynamic.get(path):
            found = sorted(name for name in self.server.files if name.startswith(f"/v1/me/{prefix}"))
            return b"".join(map(self.server.files.__getitem__, found))
        return content

    def list(self, container: str, query: dict[str, str]) -> None:
        stem = f"{container}/"
        names = sorted(path.removeprefix(stem) for path in self.server.files if path.startswith(stem))
        names = [name for name in names if name.startswith(query.get("prefix", ""))]
        page = [name for name in names if name > query.get("marker", "")][:2]
        entries = []
        for name in page:
            dynamic = stem + name in self.server.dynamic
            content = b"" if dynamic else self.whole(stem + name)
            md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
            entries.append({"name": name, "bytes": len(content), "hash": md5})
        self.answer(200, json.dumps(entries).encode())

    def answer(self, status: int, content: bytes = b"", etag: str = "") -> None:
        path = self.parse_path()
        whole = self.server.files.get(path, b"") if status == 206 else content
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        if path in self.server.folders:
            self.send_header("X-Static-Large-Object", "True")
        if path in self.server.dynamic:
            self.send_header("X-Object-Manifest", urllib.parse.quote(self.server.dynamic[path]))
        self.send_header("Etag", etag or hashlib.md5(whole, usedforsecurity=False).hexdigest())
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def parse_path(self) -> str:
        return urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)


class NoBucket(_Handler):
    def do_GET(self) -> None:
        self.parse()
        self.answer(404, b"<Error><Code>NoSuchBucket</Code></Error>")

    def do_PUT(self) -> None:
        self.body()
        self.do_GET()
