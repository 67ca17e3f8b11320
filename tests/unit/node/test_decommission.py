"""What is asked of the NameNode before DataNodes go, and what it answers."""

from __future__ import annotations

import copy
import json
import os
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from muster_node import daemons
from muster_node.hdfs import copies, decommission
from muster_node.hdfs.decommission import NotDecommissioned, Plan, begin, end, look
from muster_node.hdfs.webhdfs import Hdfs

A, B, C, D = (f"10.0.0.{number}" for number in range(1, 5))
FILES = {
    "": {"user": None, "small": 1},
    "/user": {"a b": 3, "pair": 2, "moved": 3, "coded": 1},
}
"""Folder -> name -> copies, None for a folder. `moved` is away when it is told, `coded` is erasure-coded."""
DEAD, NEVER, GOING = "Dead", "Never heard", "Decommission In Progress"
AWAY = (DEAD, NEVER)


class NameNode(ThreadingHTTPServer):
    """States of DataNodes as on the page of a NameNode; those excluded begin to go when it is reloaded."""

    def __init__(self, folder: Path, states: dict[str, str]) -> None:
        super().__init__(("127.0.0.1", 0), Page)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.folder, self.states = folder, states
        self.left, self.silent_s, self.safe, self.health = 0, 1000.0, "", "HEALTHY"
        self.dying = ""
        self.wished, self.moved = copy.deepcopy(FILES), False
        self.copies = dict[str, str]()
        self.serving_when_told = set[str]()

    def page(self) -> dict[str, Any]:
        if (self.folder / "reloaded").exists():
            excluded = (self.folder / "exclude").read_text().split()
            for address, state in self.states.items():
                going = GOING if self.left and state not in AWAY else daemons.DECOMMISSIONED
                self.states[address] = going if address in excluded else state
                if address not in excluded and state == GOING:
                    self.states[address] = daemons.IN_SERVICE
        live = [
            each
            for each in self.nodes(lambda state: state not in AWAY)
            if not self.dying or self.dying not in each[0]
        ]
        texts = {
            "LiveNodes": {name: node | {"adminState": state} for name, node, state in live},
            "DeadNodes": {
                name: node | {"lastContact": self.silent_s, "uuid": "" if state == NEVER else "u"}
                for name, node, state in self.nodes(lambda s: s in AWAY)
            },
            "DecomNodes": {
                name: node | {"underReplicatedBlocks": self.left}
                for name, node, _ in self.nodes(lambda s: s == GOING)
            },
        }
        return {"beans": [{key: json.dumps(text) for key, text in texts.items()} | {"Safemode": self.safe}]}

    def nodes(self, wanted: Callable[[str], bool]) -> list[tuple[str, dict[str, Any], str]]:
        return [
            (f"name-of-{at}:9866", {"xferaddr": f"{at}:9866"}, state)
            for at, state in self.states.items()
            if wanted(state)
        ]


class Page(BaseHTTPRequestHandler):
    server: NameNode

    def do_GET(self) -> None:
        folder = self.path.partition("?")[0].removeprefix("/webhdfs/v1").rstrip("/")
        if self.path.startswith("/fsck"):
            self.send(f"FSCK ended\n\n\nThe filesystem under path '/' is {self.server.health}\n".encode())
            return
        found: object = self.server.page()
        if folder in self.server.wished:
            entries = [
                {"pathSuffix": name, "type": "FILE" if wished else "DIRECTORY", "replication": wished or 0}
                | ({"ecPolicy": "RS-6-3-1024k"} if name == "coded" else {})
                for name, wished in self.server.wished[folder].items()
            ]
            found = {"FileStatuses": {"FileStatus": entries}}
        self.answer(found)

    def do_PUT(self) -> None:
        path, _, query = self.path.removeprefix("/webhdfs/v1").partition("?")
        assert "op=SETREPLICATION" in query
        states = self.server.states.items()
        self.server.serving_when_told = {at for at, state in states if state == daemons.IN_SERVICE}
        there = path != "/user/moved" or self.server.moved
        self.server.moved |= not there
        if there:
            name = urllib.parse.unquote(path.rpartition("/")[2])
            self.server.wished[path.rpartition("/")[0]][name] = int(query.rpartition("replication=")[2])
            self.server.copies[path] = query.rpartition("replication=")[2]
        self.answer({"boolean": there})

    def answer(self, found: object) -> None:
        self.send(json.dumps(found).encode())

    def send(self, content: bytes) -> None:
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
    monkeypatch.setattr(decommission, "DONE", tmp_path / "done")
    monkeypatch.setattr(copies, "RECORD", tmp_path / "copies")
    monkeypatch.setattr(decommission, "RELOAD", ("/usr/bin/touch", str(tmp_path / "reloaded")))
    thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_blocks_are_left_until_the_others_have_them(namenode: NameNode) -> None:
    plan = Plan("begin", [D], [A, B, C])
    namenode.left = 5
    begin(plan, namenode.url)
    assert look(plan, namenode.url) == {D: 5}
    namenode.left = 2
    assert look(plan, namenode.url) == {D: 2}
    namenode.left, namenode.states[D] = 0, daemons.DECOMMISSIONED
    assert look(plan, namenode.url) == {}
    assert not namenode.copies, "three stay, and no file has more copies"


def test_files_get_no_more_copies_than_machines_stay(namenode: NameNode) -> None:
    """HDFS would wait for room for the third copy, for ever; one that its user wants once stays so.

    It takes the one that is too many from any of those that serve: only those may serve that stay.
    """
    plan = Plan("begin", [C, D], [A, B])
    begin(plan, namenode.url)
    assert namenode.copies == {"/user/a%20b": "2", "/user/moved": "2"}, "also one that was away for a moment"
    assert namenode.serving_when_told == {A, B}
    namenode.wished["/user"]["a b"] = 3  # the run before was killed
    namenode.copies.clear()
    begin(plan, namenode.url)
    assert namenode.copies == {"/user/a%20b": "2"}


def test_many_files_are_lowered_in_slices(namenode: NameNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "SLICE_S", -1.0)
    hdfs = Hdfs(namenode.url)
    assert copies.follow(hdfs, 1) == 0
    copies.lower(hdfs, 1)
    assert copies.RECORD.read_text() == "1\n"
    assert copies.follow(hdfs, 3) == 0
    assert copies.RECORD.read_text() == "1\n", "the next one goes on"


def test_files_get_copies_again_when_machines_come(namenode: NameNode) -> None:
    """Those that had as many as there could be; once only."""
    hdfs = Hdfs(namenode.url)
    assert copies.follow(hdfs, 3) == 0, "nobody knows what there was before"
    begin(Plan("begin", [B, C, D], [A]), namenode.url)
    assert namenode.wished["/user"] == {"a b": 1, "pair": 1, "moved": 1, "coded": 1}
    assert copies.follow(hdfs, 3) == 4
    assert namenode.wished["/user"] == {"a b": 3, "pair": 3, "moved": 3, "coded": 1}
    assert copies.follow(hdfs, 3) == copies.follow(hdfs, 1) == 0


@pytest.mark.parametrize("other", ["end", "begin"])
def test_those_that_stay_after_all_keep_their_copies(other: str, namenode: NameNode) -> None:
    """As many as can be, before HDFS takes away those that are too many."""
    begin(Plan("begin", [B, C, D], [A]), namenode.url)
    if other == "end":
        end(Plan("end", [B, C, D], [A]), namenode.url)
    else:
        begin(Plan("begin", [D], [A, B, C]), namenode.url)
    assert namenode.wished["/user"]["a b"] == namenode.wished["/user"]["pair"] == 3
    assert namenode.serving_when_told == {A}


def test_one_that_is_silent_may_have_what_is_missing(namenode: NameNode) -> None:
    """It is missed some time after it was last heard."""
    plan = Plan("begin", [D], [A, B, C])
    namenode.states[D] = DEAD
    begin(plan, namenode.url)
    assert look(plan, namenode.url) == {}
    namenode.silent_s = 70
    assert look(plan, namenode.url) == {D: 0}
    namenode.silent_s, namenode.health = 1000, "CORRUPT"
    with pytest.raises(NotDecommissioned, match=f"blocks are missing .* perhaps they are on {D}"):
        look(plan, namenode.url)


def test_one_that_was_dead_gives_away_what_it_has_when_it_lives_again(namenode: NameNode) -> None:
    """HDFS would take it for done, once and for all, had it been told of it while it was dead."""
    plan = Plan("begin", [C, D], [A, B])
    namenode.states[D] = DEAD
    namenode.left = 4
    begin(plan, namenode.url)
    assert (namenode.folder / "exclude").read_text() == f"{C}\n"
    namenode.states[D] = daemons.IN_SERVICE
    begin(plan, namenode.url)
    assert look(plan, namenode.url) == {C: 4, D: 4}


def test_one_that_dies_meanwhile_is_waited_for(namenode: NameNode) -> None:
    """The NameNode lists it, and counts none of its blocks as missing; told that it stays, it would forget it."""
    plan = Plan("begin", [D], [A, B, C])
    namenode.left = 3
    begin(plan, namenode.url)
    namenode.dying = D
    begin(plan, namenode.url)
    assert (namenode.folder / "exclude").read_text() == f"{D}\n"
    assert look(plan, namenode.url) == {D: 3}


def test_those_that_stay_must_serve(namenode: NameNode) -> None:
    """Files are lowered to what stays, not to what happens to be there; a larger wish before does not count."""
    namenode.left = 1
    begin(Plan("begin", [C, D], [A, B]), namenode.url)
    begin(Plan("begin", [D], [A, B, C]), namenode.url)
    assert namenode.states == {A: daemons.IN_SERVICE, B: daemons.IN_SERVICE, C: daemons.IN_SERVICE, D: GOING}
    namenode.states[B] = NEVER
    begin(Plan("begin", [D], [A, B, C]), namenode.url)
    namenode.states[B] = DEAD
    with pytest.raises(NotDecommissioned, match=f"the DataNode at {B} is to stay and does not answer"):
        begin(Plan("begin", [C, D], [A, B]), namenode.url)


def test_one_that_never_joined_asks_nothing_of_the_others(namenode: NameNode) -> None:
    """Such as a cluster that grew, and becomes smaller before main.yml was run."""
    namenode.states |= dict.fromkeys((B, C), NEVER)
    del namenode.states[D]
    begin(Plan("begin", [D], [A, B, C]), namenode.url)
    assert look(Plan("look", [D], [A, B, C]), namenode.url) == {}
    assert not (namenode.folder / "reloaded").exists()


def test_a_namenode_that_has_just_started_is_not_believed(namenode: NameNode) -> None:
    namenode.safe = "Safe mode is ON."
    for verb in (begin, look):
        with pytest.raises(NotDecommissioned, match="safe mode"):
            verb(Plan("begin", [D], [A, B, C]), namenode.url)


def test_a_namenode_that_does_not_know_the_list(namenode: NameNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decommission, "RELOAD", ("/usr/bin/true",))
    for _ in range(2):
        with pytest.raises(NotDecommissioned, match="started by an older version"):
            begin(Plan("begin", [D], [A, B, C]), namenode.url)


def test_a_run_that_was_killed_before_the_namenode_was_told(namenode: NameNode) -> None:
    (namenode.folder / "exclude").write_text(f"{D}\n")
    namenode.left = 1
    begin(Plan("begin", [D], [A, B, C]), namenode.url)
    assert namenode.states[D] == GOING


def test_who_was_decommissioned_is_known_for_a_minute(
    namenode: NameNode, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def told(verb: str) -> frozenset[str]:
        said(verb, namenode, monkeypatch, capsys)
        return decommission.done()

    namenode.left = 1
    assert told("begin") == frozenset()
    namenode.left, namenode.states[D] = 0, daemons.DECOMMISSIONED
    assert told("look") == {D}
    long_ago = time.time() - decommission.DEAD_S
    os.utime(decommission.DONE, (long_ago, long_ago))
    assert decommission.done() == frozenset()
    assert told("look") == {D}
    assert told("end") == frozenset()
    namenode.states[D] = DEAD
    assert told("look") == frozenset(), "it may live again, and serve"
    monkeypatch.setattr(decommission, "DONE", namenode.folder / "none" / "done")
    assert said("look", namenode, monkeypatch, capsys) == {"left": {}}, "it is a hint, and nothing else"


def said(
    verb: str, namenode: NameNode, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> dict[str, Any]:
    """Run the program; return its answer."""
    host, _, port = namenode.url.removeprefix("http://").partition(":")
    monkeypatch.setattr(decommission.socket, "gethostname", lambda: host)
    monkeypatch.setattr(daemons, "NAMENODE_PORT", int(port))
    plan = {"verb": verb, "leaving": [D], "staying": [A, B, C]}
    monkeypatch.setattr(sys, "argv", ["muster-decommission", json.dumps(plan)])
    assert decommission.main() == 0
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


@pytest.mark.parametrize(
    ("verb", "reload", "page", "key"),
    [
        ("begin", "/usr/bin/true", None, "error"),
        ("begin", "/usr/bin/false", None, "error"),
        ("look", "/usr/bin/true", {"beans": []}, "error"),
        ("look", "/usr/bin/true", {"beans": [{"LiveNodes": "{}"}]}, "error"),
        ("end", "/usr/bin/true", None, "left"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(
    verb: str,
    reload: str,
    page: dict[str, Any] | None,
    key: str,
    namenode: NameNode,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(decommission, "RELOAD", (reload,))
    if page is not None:
        monkeypatch.setattr(namenode, "page", lambda: page)
    assert list(said(verb, namenode, monkeypatch, capsys)) == [key]
