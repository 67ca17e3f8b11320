"""HDFS over its web interface: without a Java program for each file.

One client is used by one thread; its connection to the NameNode stays open.
"""

from __future__ import annotations

import http.client
import json
import time
import urllib.parse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, Any

from muster_node.daemons import STATE_PAGE, HdfsState

RETRY_PAUSES_S = (0.2, 0.8, 3.2, 0)
"""Seconds to wait after each failed attempt; the last one is not waited after."""
CHUNK = 1 << 20
SUPERUSER = "hdfs"
ASCII = "".join(map(chr, range(0x21, 0x7F)))


class HdfsError(Exception):
    """HDFS refused a request or does not answer; the text is one line."""


class HdfsGone(HdfsError):
    """The NameNode does not answer, and was asked several times."""


class HdfsFull(HdfsError):
    """No DataNode has room."""


@dataclass(frozen=True)
class Status:
    """A file or folder; `length` is its bytes, `mode` its permissions, octal without leading zeros.

    `copies`: of a file that are wished; 0 = it has none, as a folder, or one that is erasure-coded.
    """

    folder: bool
    length: int
    owner: str
    group: str
    mode: str
    copies: int = 0


class Hdfs:
    """Files of one file system. `url`: the NameNode's, such as http://master:9870; `user`: who asks."""

    place = "HDFS"

    def __init__(self, url: str, user: str = "hadoop", timeout_s: float = 60) -> None:
        self._url = urllib.parse.urlsplit(url)
        self._user = user
        self._timeout_s = timeout_s
        self._connection: http.client.HTTPConnection | None = None

    def status(self, path: str) -> Status | None:
        """Return what there is at a path, None when there is nothing. Raises HdfsError."""
        answer = self._ask("GET", path, "GETFILESTATUS", missing_ok=True)
        return None if answer is None else _status(answer["FileStatus"])

    def listing(self, folder: str) -> dict[str, Status] | None:
        """Return name -> status of what is in a folder, None when there is none. Raises HdfsError."""
        answer = self._ask("GET", folder, "LISTSTATUS", missing_ok=True)
        if answer is None:
            return None
        return {entry["pathSuffix"]: _status(entry) for entry in answer["FileStatuses"]["FileStatus"]}

    def lengths(self, folder: str) -> dict[str, int] | None:
        """Return name -> bytes of a folder's files, None when there is no such folder. Raises HdfsError."""
        found = self.listing(folder)
        return None if found is None else {name: at.length for name, at in found.items() if not at.folder}

    def folders(self, folder: str) -> list[str]:
        """Return the names of the folders in a folder, none when it is not there. Raises HdfsError."""
        return sorted(name for name, at in (self.listing(folder) or {}).items() if at.folder)

    def files(self, folder: str) -> Iterator[tuple[str, Status]]:
        """Yield (path, status) of every file below a folder; '' = of all. Raises HdfsError."""
        for name, at in (self.listing(folder or "/") or {}).items():
            if at.folder:
                yield from self.files(f"{folder}/{name}")
            else:
                yield f"{folder}/{name}", at

    def walk(self, folder: str) -> Iterator[tuple[str, int]]:
        """Yield (path, bytes) of every file below a folder. Raises HdfsError."""
        return ((path, at.length) for path, at in self.files(folder))

    def make_folder(self, path: str, mode: str = "755") -> None:
        """Create a folder and its parents; again is harmless. Raises HdfsError."""
        self._ask("PUT", path, "MKDIRS", permission=mode)

    def give(self, path: str, *, owner: str, group: str, mode: str) -> None:
        """Set who owns a path and what they may do; only a superuser may. Raises HdfsError."""
        self._ask("PUT", path, "SETOWNER", owner=owner, group=group)
        self._ask("PUT", path, "SETPERMISSION", permission=mode)

    def set_copies(self, path: str, copies: int) -> bool:
        """Wish for so many copies of a file, which HDFS makes or deletes by and by; False: there is none.

        Raises HdfsError.
        """
        answer = self._ask("PUT", path, "SETREPLICATION", missing_ok=True, replication=str(copies))
        return bool((answer or {}).get("boolean"))

    def rename(self, old: str, new: str) -> None:
        """Rename, at once or not at all. Raises HdfsError."""
        answer = self._ask("PUT", old, "RENAME", destination=new)
        if not (answer or {}).get("boolean"):
            raise HdfsError(f"HDFS did not rename {old} to {new}")

    def replace(self, old: str, new: str) -> None:
        """Rename a file, over an older one, at once or not at all. Raises HdfsError."""
        self._ask("PUT", old, "RENAME", destination=new, renameoptions="OVERWRITE")

    def concat(self, first: str, others: Sequence[str]) -> None:
        """Move the blocks of other files to the end of the first, which takes them. Raises HdfsError."""
        if others:
            self._ask("POST", first, "CONCAT", sources=",".join(others))

    def remove(self, path: str) -> None:
        """Delete a file or a folder with all in it; harmless when it is not there. Raises HdfsError."""
        self._ask("DELETE", path, "DELETE", recursive="true")

    def read(self, path: str) -> bytes | None:
        """Return a small file's content, None when there is none. Raises HdfsError."""
        with self.open(path) as stream:
            return None if stream is None else stream.read()

    @contextmanager
    def open(self, path: str) -> Iterator[IO[bytes] | None]:
        """Give a file's content as a stream, None when there is none. Raises HdfsError; reading, OSError."""
        answer = self._ask("GET", path, "OPEN", missing_ok=True, noredirect="true")
        if answer is None:
            yield None
            return
        with self._to_datanode("GET", answer["Location"], None, 0) as stream:
            if stream.status != 200:
                raise _error(stream.status, stream.read(), path)
            yield stream

    def write(self, path: str, source: IO[bytes], length: int, *, copies: int) -> None:
        """Write a file from the `length` bytes of `source`, over an older one. Raises HdfsFull, HdfsError."""
        answer = self._ask(
            "PUT", path, "CREATE", overwrite="true", noredirect="true", replication=str(copies)
        )
        with self._to_datanode("PUT", (answer or {})["Location"], source, length) as stream:
            if stream.status != 201:
                raise _error(stream.status, stream.read(), path)

    def room(self) -> int:
        """Return the free bytes of all DataNodes together. Raises HdfsError."""
        status, content = self._send("GET", STATE_PAGE)
        if status != 200:
            raise _error(status, content, "/")
        return HdfsState.parse(json.loads(content)).remaining

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._connection is not None:
            with suppress(OSError):
                self._connection.close()
            self._connection = None

    def _ask(
        self, method: str, path: str, operation: str, *, missing_ok: bool = False, **more: str
    ) -> dict[str, Any] | None:
        query = urllib.parse.urlencode({"op": operation, "user.name": self._user, **more})
        status, content = self._send(method, f"/webhdfs/v1{urllib.parse.quote(path)}?{query}")
        if status == 404 and missing_ok:
            return None
        if status != 200:
            raise _error(status, content, path)
        result: dict[str, Any] = json.loads(content or b"{}")
        return result

    def _send(self, method: str, path: str) -> tuple[int, bytes]:
        """Send a request to the NameNode; while it does not answer, try again."""
        failure: Exception | None = None
        for pause_s in RETRY_PAUSES_S:
            try:
                if self._connection is None:
                    self._connection = http.client.HTTPConnection(self._url.netloc, timeout=self._timeout_s)
                self._connection.request(
                    method, path, headers={"Content-Length": "0"} if method in ("PUT", "POST") else {}
                )
                answer = self._connection.getresponse()
                content = answer.read()
            except (OSError, http.client.HTTPException) as error:
                failure = error
                self.close()
                time.sleep(pause_s)
            else:
                if answer.will_close:
                    self.close()
                return answer.status, content
        raise HdfsGone(f"the NameNode at {self._url.netloc} does not answer ({failure})")

    @contextmanager
    def _to_datanode(
        self, method: str, location: str, source: IO[bytes] | None, length: int
    ) -> Iterator[http.client.HTTPResponse]:
        # The NameNode quotes what has a meaning in an address, and leaves letters beyond ASCII as they are.
        url = urllib.parse.urlsplit(urllib.parse.quote(location, safe=ASCII))
        connection = http.client.HTTPConnection(url.netloc, timeout=self._timeout_s)
        connection.blocksize = CHUNK
        try:
            if source is not None:
                source.seek(0)
            headers = {"Content-Length": str(length)} if source is not None else {}
            connection.request(method, f"{url.path}?{url.query}", body=source, headers=headers)
            yield connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise HdfsError(f"the DataNode at {url.netloc} does not answer ({error})") from error
        finally:
            connection.close()


def _status(entry: dict[str, Any]) -> Status:
    return Status(
        folder=entry["type"] == "DIRECTORY",
        length=int(entry.get("length", 0)),
        owner=str(entry.get("owner", "")),
        group=str(entry.get("group", "")),
        mode=str(entry.get("permission", "")),
        copies=0 if entry.get("ecPolicy") else int(entry.get("replication", 0)),
    )


def _error(status: int, content: bytes, path: str) -> HdfsError:
    """What an error answer says, in one line."""
    try:
        told = json.loads(content)["RemoteException"]
        kind, text = str(told.get("exception", "")), str(told.get("message", "")).partition("\n")[0]
    except (ValueError, KeyError, TypeError):
        kind, text = f"HTTP {status}", content[:200].decode(errors="replace").partition("\n")[0]
    full = ("could only be written to 0 of", "DiskOutOfSpace", "No space left", "quota")
    if any(sign in f"{kind} {text}" for sign in full):
        return HdfsFull(f"HDFS has no room for {path}")
    if "SafeMode" in f"{kind} {text}":
        return HdfsError("HDFS is in safe mode: it takes no files until its DataNodes have reported")
    return HdfsError(f"HDFS refuses {path}: {kind}: {text[:300]}")
