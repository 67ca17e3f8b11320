"""What is asked of the NameNode before DataNodes go, and what it answers."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from muster_node import daemons
from muster_node.hdfs import copies, decommission
from muster_node.hdfs.decommission import NotDecommissioned, Wish, begin, look
from muster_node.hdfs.webhdfs import Hdfs

A, B, C, D = (f"10.0.0.{number}" for number in range(1, 5))
FILES = {
    "": {"user": None, "small": 1},
    "/user": {"a b": 3, "pair": 2, "coded": 0},
}
"""Folder -> name -> copies, None for a folder."""


class NameNode(ThreadingHTTPServer):
    """States of DataNodes as on the page of a NameNode; those excluded begin to go when it is reloaded."""

    def __init__(self, folder: Path, states: dict[str, str]) -> None:
        super().__init__(("127.0.0.1", 0), Page)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.folder, self.states = folder, states
        self.missing, self.left, self.copies = 0, 0, dict[str, str]()
        self.serving_when_told = set[str]()

    def page(self) -> dict[str, Any]:
        if (self.folder / "reloaded").exists():
            for address in (self.folder / "exclude").read_text().split():
                self.states[address] = "Decommission In Progress" if self.left else daemons.DECOMMISSIONED
        live = {
            f"name-of-{at}:9866": {"xferaddr": f"{at}:9866", "adminState": state}
            for at, state in self.states.items()
        }
        going = {
            name: {"xferaddr": node["xferaddr"], "underReplicatedBlocks": self.left}
            for name, node in live.items()
            if node["adminState"] == "Decommission In Progress"
        }
        texts = {"LiveNodes": json.dumps(live), "DecomNodes": json.dumps(going)}
        return {"beans": [{**texts, "NumberOfMissingBlocks": self.missing}]}


class Page(BaseHTTPRequestHandler):
    server: NameNode

    def do_GET(self) -> None:
        folder = self.path.partition("?")[0].removeprefix("/webhdfs/v1").rstrip("/")
        found: object = self.server.page()
        if folder in FILES:
            entries = [
                {
                    "pathSuffix": name,
                    "type": "FILE" if copies is not None else "DIRECTORY",
                    "replication": copies or 0,
                }
                for name, copies in FILES[folder].items()
            ]
            found = {"FileStatuses": {"FileStatus": entries}}
        self.answer(found)

    def do_PUT(self) -> None:
        path, _, query = self.path.removeprefix("/webhdfs/v1").partition("?")
        assert "op=SETREPLICATION" in query
        states = self.server.states.items()
        self.server.serving_when_told = {at for at, state in states if state == daemons.IN_SERVICE}
        self.server.copies[path] = query.rpartition("replication=")[2]
        self.answer({"boolean": True})

    def answer(self, found: object) -> None:
        content = json.dumps(found).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def namenode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NameNode]:
    server = NameNode(tmp_path, dict.fromkeys((A, B, C, D), daemons.IN_SERVICE))
    monkeypatch.setattr(decommission, "EXCLUDE", tmp_path / "exclude")
    monkeypatch.setattr(copies, "RECORD", tmp_path / "copies")
    monkeypatch.setattr(decommission, "RELOAD", ("/usr/bin/touch", str(tmp_path / "reloaded")))
    thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_blocks_are_left_until_the_others_have_them(namenode: NameNode) -> None:
    wish = Wish(namenode.url, [D])
    namenode.left = 5
    begin(wish)
    assert look(wish) == {D: 5}
    namenode.left = 2
    assert look(wish) == {D: 2}
    namenode.left = 0
    assert look(wish) == {}
    assert not namenode.copies, "three stay, and no file has more copies"


def test_files_get_no_more_copies_than_machines_stay(namenode: NameNode) -> None:
    """HDFS would wait for room for the third copy, for ever; one that its user wants once stays so.

    It takes the one that is too many from any of those that serve: only those may serve that stay.
    """
    wish = Wish(namenode.url, [C, D])
    for _ in range(2):  # the first was killed, perhaps before the files were told
        namenode.copies.clear()
        begin(wish)
        assert namenode.copies == {"/user/a%20b": "2"}
    assert namenode.serving_when_told == {A, B}


def test_files_get_copies_again_when_machines_come(namenode: NameNode) -> None:
    """Those that had as many as there could be; killed on the way down or not, and once only."""
    hdfs = Hdfs(namenode.url)
    assert copies.follow(hdfs, 3) == 0, "nobody knows what there was before"
    begin(Wish(namenode.url, [C, D]))
    namenode.copies.clear()
    assert copies.follow(hdfs, 3) == 1
    assert namenode.copies == {"/user/pair": "3"}, (
        "the one that was lowered is 3 here, as this NameNode forgets"
    )
    assert copies.follow(hdfs, 3) == copies.follow(hdfs, 1) == 0
    namenode.copies.clear()
    assert copies.follow(hdfs, 2) == 1
    assert namenode.copies == {"/small": "2"}


def test_one_that_is_silent_may_have_what_is_missing(namenode: NameNode) -> None:
    del namenode.states[D]
    begin(Wish(namenode.url, [D]))
    assert look(Wish(namenode.url, [D])) == {}
    namenode.missing = 3
    with pytest.raises(NotDecommissioned, match=f"3 blocks are missing, perhaps they are on {D}"):
        look(Wish(namenode.url, [D]))


def test_all_cannot_go(namenode: NameNode) -> None:
    with pytest.raises(NotDecommissioned, match="no other DataNode has joined"):
        begin(Wish(namenode.url, [A, B, C, D]))
    assert not (namenode.folder / "exclude").exists()


def test_a_namenode_that_does_not_know_the_list(namenode: NameNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decommission, "RELOAD", ("/usr/bin/true",))
    with pytest.raises(NotDecommissioned, match="started by an older version"):
        begin(Wish(namenode.url, [D]))


@pytest.mark.parametrize("reload", [("/usr/bin/true",), ("/usr/bin/false",)])
def test_what_is_wrong_is_told_in_one_line(
    reload: tuple[str],
    namenode: NameNode,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    host, _, port = namenode.url.removeprefix("http://").partition(":")
    monkeypatch.setattr(decommission.socket, "gethostname", lambda: host)
    monkeypatch.setattr(daemons, "NAMENODE_PORT", int(port))
    monkeypatch.setattr(decommission, "RELOAD", reload)
    monkeypatch.setattr(sys, "argv", ["muster-decommission", "begin", D])
    assert decommission.main() == 0
    assert list(json.loads(capsys.readouterr().out)) == ["error"]
