from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from provision.core import process
from provision.core.errors import LeaseHeld, OwnerGone
from provision.core.wait import until
from provision.state.lease import FILE, Lease, Party, this_owner


def party(pid: int) -> Party:
    found = process.find(pid)
    assert found is not None
    return Party(found.pid, found.start, found.command)


def sleeper() -> subprocess.Popen[bytes]:
    """Start a process; the kernel shows its command line a moment after its start is reported."""
    running = subprocess.Popen(["sleep", "60"])
    assert until(lambda: Path(f"/proc/{running.pid}/cmdline").read_bytes(), deadline_s=10, interval_s=0.01)
    return running


@pytest.fixture
def other() -> Iterator[subprocess.Popen[bytes]]:
    """Another living process."""
    running = sleeper()
    yield running
    running.kill()
    running.wait()


@pytest.fixture
def dead() -> Party:
    """A process that has ended."""
    running = sleeper()
    found = party(running.pid)
    running.kill()
    running.wait()
    return found


ME = party(os.getpid())


def test_take_and_leave(tmp_path: Path) -> None:
    lease = Lease(tmp_path)
    lease.take()
    lease.check()
    lease.leave()
    Lease(tmp_path, owner=party(os.getppid())).take()


def test_a_living_owner_is_named_at_once(tmp_path: Path, other: subprocess.Popen[bytes]) -> None:
    holder = party(other.pid)
    Lease(tmp_path, owner=holder, worker=holder).take()
    with pytest.raises(
        LeaseHeld, match=rf"another command works on this cluster: sleep 60 \(PID {other.pid}\)"
    ):
        Lease(tmp_path).take()


def test_a_dead_owner_holds_nothing(tmp_path: Path, dead: Party) -> None:
    Lease(tmp_path, owner=dead, worker=dead).take()
    Lease(tmp_path).take()


def test_the_owner_keeps_it_when_its_worker_leaves(tmp_path: Path, other: subprocess.Popen[bytes]) -> None:
    boss = party(other.pid)
    lease = Lease(tmp_path, owner=boss)
    lease.take()
    lease.leave()
    with pytest.raises(LeaseHeld):
        Lease(tmp_path).take()
    Lease(tmp_path, owner=boss).take()


def test_a_command_joins_the_lease_of_the_one_that_started_it(
    tmp_path: Path, other: subprocess.Popen[bytes]
) -> None:
    Lease(tmp_path).take()
    child = party(other.pid)  # a child of this process, as ansible-playbook is of ./muster
    Lease(tmp_path, owner=child, worker=child).take()


def test_an_orphaned_worker_is_waited_for(
    tmp_path: Path, dead: Party, other: subprocess.Popen[bytes]
) -> None:
    Lease(tmp_path, owner=dead, worker=party(other.pid)).take()
    said: list[str] = []
    with pytest.raises(
        LeaseHeld, match=rf"a worker \(PID {other.pid}\) of a command that was killed is still busy"
    ):
        Lease(tmp_path).take(orphan_s=0.05, say=said.append)
    assert said == [f"waiting for a worker (PID {other.pid}) of a command that was killed"]
    other.kill()
    other.wait()
    Lease(tmp_path).take(orphan_s=0.05)


def test_a_worker_whose_owner_is_gone_stops(tmp_path: Path, dead: Party) -> None:
    with pytest.raises(OwnerGone, match="has ended. Run the same command again"):
        Lease(tmp_path, owner=dead).check()


def test_a_worker_whose_owner_dies_is_ended(
    tmp_path: Path, other: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provision.state.lease.WATCH_S", 0.01)
    ended = threading.Event()
    with Lease(tmp_path, owner=party(other.pid)).watched(ended.set):
        assert not ended.wait(0.05)
        other.kill()
        other.wait()
        assert ended.wait(5)


def test_a_file_cut_short_is_held_by_nobody(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"owner": {"pid"')
    Lease(tmp_path).take()


def test_a_folder_removed_meanwhile_is_no_obstacle(tmp_path: Path) -> None:
    folder = tmp_path / "cluster"
    lease = Lease(folder)
    lease.take()
    (folder / FILE).unlink()
    folder.rmdir()
    lease.leave()
    assert not folder.exists()
    Lease(folder).take()


def test_the_owner_is_this_process_outside_of_ansible() -> None:
    assert this_owner().pid == os.getpid()


def test_same_pid_with_another_start_is_another_process() -> None:
    assert process.alive(ME.pid, ME.start)
    assert not process.alive(ME.pid, "another boot")
    assert process.find(2**22 + 1) is None
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:  # ends when its input does
        assert ME.pid in [parent.pid for parent in process.ancestors(child.pid)]
