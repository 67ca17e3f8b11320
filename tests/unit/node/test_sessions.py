"""Which SSH sessions end when keys are taken away."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from muster_node import sessions
from muster_node.sessions import Process

KATIE, BOB = ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + letter * 43 for letter in "KB")
PRINTS = {name: next(iter(sessions.fingerprints(key))) for name, key in (("katie", KATIE), ("bob", BOB))}
ACCOUNTS = {1800: "muster", 1803: "hadoop"}


def table(*rows: tuple[int, int, str, int]) -> dict[int, Process]:
    return {pid: Process(pid, parent, name, user) for pid, parent, name, user in rows}


@pytest.mark.parametrize("name", ["sshd-session", "sshd"])  # as OpenSSH 10 and 9 call it
def test_a_connection_is_known_by_roots_process_that_holds_it(name: str) -> None:
    running = table(
        (10, 1, "sshd", 0),
        (11, 10, name, 0), (12, 11, name, 1803), (13, 12, "bash", 1803), (14, 13, "sleep", 1803),
        (21, 10, name, 0), (22, 21, name, 1800), (23, 22, "sudo", 0),
        (31, 10, name, 0), (32, 31, name, 1000),  # of the host's owner
        (41, 10, name, 0), (42, 41, name, 101),  # not let in yet
        (51, 14, "sshd-session", 1803), (52, 51, "sshd-session", 1803),  # a job that calls itself so
    )  # fmt: skip
    assert sessions.sessions(running, ACCOUNTS) == {11: "hadoop", 21: "muster"}
    assert sessions.family(11, running) == [11, 12, 13, 14, 51, 52]
    assert sessions.ancestors(23, running) == {23, 22, 21, 10}


def said(pid: int, key: str, user: str = "hadoop") -> str:
    text = f"Accepted publickey for {user} from 192.0.2.1 port 40000 ssh2: ED25519 {PRINTS[key]}"
    return json.dumps({"MESSAGE": text, "_PID": str(pid)})


def test_who_came_with_a_key_that_is_gone_is_out_and_so_is_whom_nobody_knows() -> None:
    lines = [said(11, "katie"), said(11, "bob"), said(21, "bob", "muster"), said(31, "katie"), "", "{}", "7"]
    lines += [json.dumps({"MESSAGE": [27, 91], "_PID": "31"}), json.dumps({"MESSAGE": "Connection closed"})]
    keys = sessions.opened(lines)
    assert keys == {11: PRINTS["bob"], 21: PRINTS["bob"], 31: PRINTS["katie"]}
    held = {11: "hadoop", 21: "muster", 31: "hadoop", 41: "hadoop"}
    allowed = {"hadoop": {PRINTS["bob"]}, "muster": {PRINTS["bob"]}}
    assert sessions.unwanted(held, keys, allowed) == [31, 41]
    assert sessions.unwanted(held, keys, {"hadoop": set(), "muster": {PRINTS["bob"]}}) == [11, 31, 41]


def test_fingerprints_are_those_that_sshd_tells(tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", tmp_path / "key"], check=True)
    shown = subprocess.run(
        ["ssh-keygen", "-lf", tmp_path / "key"], capture_output=True, text=True, check=True
    )
    line = (tmp_path / "key.pub").read_text()
    found = sessions.fingerprints(f'# who\n\nrestrict,command="x" {line}\n{BOB} access:bob\nssh-rsa %%\n')
    assert found == {shown.stdout.split()[1], PRINTS["bob"]}


def test_processes_of_this_computer() -> None:
    me = sessions.processes()[os.getpid()]
    assert (me.parent, me.user) == (os.getppid(), os.geteuid())


def test_the_user_of_a_process_is_told_where_nobody_may_look_in(tmp_path: Path) -> None:
    """sshd's processes cannot be traced, and then their folders belong to root."""
    home = tmp_path / "12"
    home.mkdir()
    (home / "status").write_text("Name:\tsshd-session\nPPid:\t11\nUid:\t1803\t1803\t1803\t1803\n")
    (tmp_path / "13").mkdir()  # it has ended meanwhile
    assert sessions.processes(tmp_path) == table((12, 11, "sshd-session", 1803))


def test_what_does_not_end_when_it_is_asked_to_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "PATIENCE_S", 0.2)
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE) as one:
        assert one.stdout is not None and one.stdout.readline() == b"deaf\n"
        begin = time.monotonic()
        sessions.end([one.pid, 4194305])
        assert one.wait(10) == -signal.SIGKILL
        assert time.monotonic() - begin < 5
