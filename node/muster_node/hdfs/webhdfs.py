"""A small WebHDFS client on the standard library: files go into HDFS without a Java program for each of them.

One client is used by one thread; its connection to the NameNode stays open.
"""

from __future__ import annotations

import http.client
import json
import time
import urllib.parse
from contextlib import suppress
from typing import IO, Any

# Seconds to wait after each failed attempt; the last one is not waited after.
PAUSES_S = (0.2, 0.8, 3.2, 0)
CHUNK = 1 << 20


class HdfsError(Exception):
    """HDFS refused a request or does not answer; the text is one line."""


class HdfsFull(HdfsError):
    """No DataNode has room."""


class Client:
    """Files of one file system. `url`: the NameNode's, such as http://master:9870; `user`: who asks."""

    def __init__(self, url: str, user: str = "hadoop", timeout_s: float = 60) -> None:
        self._url = urllib.parse.urlsplit(url)
        self._user = user
        self._timeout_s = timeout_s
        self._connection: http.client.HTTPConnection | None = None

    def lengths(self, folder: str) -> dict[str, int] | None:
        """Return name -> bytes of a folder's files, None when there is no such folder. Raises HdfsError."""
        answer = self._ask("GET", folder, "LISTSTATUS", missing_ok=True)
        if answer is None:
            return None
        entries = answer["FileStatuses"]["FileStatus"]
        return {entry["pathSuffix"]: entry["length"] for entry in entries if entry["type"] == "FILE"}

    def make_folder(self, path: str) -> None:
        """Create a folder and its parents; again is harmless. Raises HdfsError."""
        self._ask("PUT", path, "MKDIRS", permission="755")

    def rename(self, old: str, new: str) -> None:
        """Rename, at once or not at all. Raises HdfsError."""
        answer = self._ask("PUT", old, "RENAME", destination=new)
        if not (answer or {}).get("boolean"):
            raise HdfsError(f"HDFS did not rename {old} to {new}")

    def remove(self, path: str) -> None:
        """Delete a file or a folder with all in it; harmless when it is not there. Raises HdfsError."""
        self._ask("DELETE", path, "DELETE", recursive="true")

    def read(self, path: str) -> bytes | None:
        """Return a small file's content, None when there is none. Raises HdfsError."""
        answer = self._ask("GET", path, "OPEN", missing_ok=True, noredirect="true")
        if answer is None:
            return None
        status, content = self._to_datanode("GET", answer["Location"], None, 0)
        if status != 200:
            raise _error(status, content, path)
        return content

    def write(self, path: str, source: IO[bytes], length: int, *, copies: int) -> None:
        """Write a file from the `length` bytes of `source`, over an older one. Raises HdfsFull, HdfsError."""
        answer = self._ask(
            "PUT", path, "CREATE", overwrite="true", noredirect="true", replication=str(copies)
        )
        status, content = self._to_datanode("PUT", (answer or {})["Location"], source, length)
        if status != 201:
            raise _error(status, content, path)

    def room(self) -> int:
        """Return the free bytes of all DataNodes together. Raises HdfsError."""
        path = "/jmx?qry=Hadoop:service=NameNode,name=FSNamesystemState"
        status, content = self._send("GET", path)
        if status != 200:
            raise _error(status, content, "/")
        return int(json.loads(content)["beans"][0]["CapacityRemaining"])

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
        for pause_s in PAUSES_S:
            try:
                if self._connection is None:
                    self._connection = http.client.HTTPConnection(self._url.netloc, timeout=self._timeout_s)
                self._connection.request(
                    method, path, headers={"Content-Length": "0"} if method == "PUT" else {}
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
        raise HdfsError(f"the NameNode at {self._url.netloc} does not answer ({failure})")

    def _to_datanode(
        self, method: str, location: str, source: IO[bytes] | None, length: int
    ) -> tuple[int, bytes]:
        url = urllib.parse.urlsplit(location)
        connection = http.client.HTTPConnection(url.netloc, timeout=self._timeout_s)
        try:
            if source is not None:
                source.seek(0)
            connection.blocksize = CHUNK
            headers = {"Content-Length": str(length)} if source is not None else {}
            connection.request(method, f"{url.path}?{url.query}", body=source, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise HdfsError(f"the DataNode at {url.netloc} does not answer ({error})") from error
        finally:
            connection.close()


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
