"""Programs on machines, with a program called ssh in front of the real one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from provision.core.errors import CommandFailed, HostKeyMismatch, MusterError, Unreachable
from provision.ssh.run import pick_machine, run_on

NAMES = ["pond-master", "pond-worker-1"]


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a shell script in the place of ssh."""

    def put(script: str) -> None:
        (tmp_path / "ssh").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "ssh").chmod(0o755)

    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return put


def test_what_a_machine_prints_is_returned(ssh: Callable[[str], None]) -> None:
    ssh('printf "%s|" "$@"; cat')
    printed = run_on(Path("/c"), "pond-master", "cat; true", given="words\n")
    assert printed.startswith("-F|/c|-o|BatchMode=yes|-T|-o|ControlMaster=auto|")
    assert printed.endswith("|pond-master|cat; true|words\n")
    assert "|-T|-l|muster|-o|" in run_on(Path("/c"), "pond-master", "true", user="muster")


@pytest.mark.parametrize(
    ("script", "kind", "said"),
    [
        ("echo no >&2; echo 'is full' >&2; exit 3", CommandFailed, "pond-master: is full"),
        ("exit 3", CommandFailed, "pond-master: ended with status 3"),
        ("echo 'put: is full' >&2; echo '26/01/01 WARN hdfs' >&2; exit 1", CommandFailed, "put: is full"),
        ("exec sleep 60", CommandFailed, "pond-master: no answer within 1 s"),
        (
            "echo 'ssh: connect: refused' >&2; echo 'Connection closed by UNKNOWN' >&2; exit 255",
            Unreachable,
            (
                "pond-master: cannot be reached over SSH: ssh: connect: refused Connection closed by UNKNOWN. "
                "See ./muster status"
            ),
        ),
        ("echo '@@@' >&2; echo 'Host key verification failed.' >&2; exit 255", HostKeyMismatch, "pinned"),
    ],
)
def test_what_goes_wrong_is_one_line(
    ssh: Callable[[str], None], script: str, kind: type[MusterError], said: str
) -> None:
    ssh(script)
    with pytest.raises(kind) as error:
        run_on(Path("/c"), "pond-master", "true", timeout_s=1)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_machines_are_known_by_long_and_short_names() -> None:
    assert pick_machine("", "pond", NAMES) == "pond-master"
    assert pick_machine("worker-1", "pond", NAMES) == "pond-worker-1"
    with pytest.raises(MusterError, match=r"Did you mean worker-1\?|Did you mean pond-worker-1\?"):
        pick_machine("wroker-1", "pond", NAMES)
