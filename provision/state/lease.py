"""One command at a time works on a cluster.

The lease names the command's process (ansible-playbook, or ./muster) by PID and start time and holds while
that process lives. Ansible runs tasks in worker processes that go on when their parent is killed, so they are
listed too: the next command waits for an orphaned one, and an orphaned one stops before its next call to a
provider.
"""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from provision.core import process
from provision.core.errors import LeaseHeld, OwnerGone
from provision.core.files import private_folder
from provision.core.wait import until

FILE = "lease"
WATCH_S = 0.5
"""Seconds between two looks of a worker at whether its command still lives."""

ORPHAN_S = 60.0
"""Seconds that a command waits for a worker whose command was killed."""


@dataclass(frozen=True)
class Party:
    """A process by PID and start time, with its command line for messages."""

    pid: int
    start: str
    command: str

    @property
    def alive(self) -> bool:
        """True while it runs."""
        return process.alive(self.pid, self.start)


@dataclass(frozen=True)
class Worker:
    """A process that changes the cluster, and the command that it works for."""

    party: Party
    boss: Party

    @property
    def orphaned(self) -> bool:
        """True when it still runs and its command does not."""
        return self.party.alive and not self.boss.alive


@dataclass(frozen=True)
class _Content:
    owner: Party | None
    workers: tuple[Worker, ...]


def this_worker() -> Party:
    """Return this process."""
    return _party(os.getpid())


def this_owner() -> Party:
    """Return the command that this process works for: Ansible's main process, or this process itself.

    Raises:
        OwnerGone: the command has ended already.
    """
    parent = multiprocessing.parent_process()
    return this_worker() if parent is None or parent.pid is None else _party(parent.pid)


class Lease:
    """The right to change one cluster, held by `owner` and used by `worker`."""

    def __init__(self, folder: Path, *, owner: Party | None = None, worker: Party | None = None) -> None:
        self._path = folder / FILE
        self._owner = owner or this_owner()
        self._worker = worker or this_worker()

    def take(self, *, orphan_s: float = ORPHAN_S, say: Callable[[str], None] = lambda _: None) -> None:
        """Take the lease, or join the one of the same command.

        Raises:
            LeaseHeld: another living command holds it, or an orphaned worker of one is still busy.
        """
        said = False
        busy: list[Party] = []

        def attempt() -> bool:
            nonlocal said, busy
            with self._locked() as store:
                content = store.read()
                self._refuse_living(content)
                busy = self._orphans(content)
                if not busy:
                    mine = content.owner if self._may_join(content) else self._owner
                    me = Worker(self._worker, self._owner)
                    others = [worker for worker in content.workers if worker != me and worker.party.alive]
                    store.write(_Content(mine, (*others, me)))
                    return True
            if not said:
                say(f"waiting for a worker (PID {busy[0].pid}) of a command that was killed")
                said = True
            return False

        if not until(attempt, deadline_s=orphan_s):
            pid = busy[0].pid
            raise LeaseHeld(
                where=str(self._path.parent),
                what=f"a worker (PID {pid}) of a command that was killed is still busy after {orphan_s:g} s",
                remedy=f"Wait until it ends, or end it with kill {pid}",
                owner_pid=pid,
            )

    def check(self) -> None:
        """Raise OwnerGone when the command that this process works for has ended."""
        if not self._owner.alive:
            raise OwnerGone(
                what=f"the command with PID {self._owner.pid} has ended",
                remedy="Run the same command again; it goes on from here",
            )

    @contextmanager
    def watched(self, end: Callable[[], None] | None = None) -> Iterator[None]:
        """End this worker (and what it started) soon after its command was killed, whatever it waits for.

        Being killed is safe at every moment; going on unasked for minutes is not. `end`: what to do instead.
        """
        done = threading.Event()

        def watch() -> None:
            while not done.wait(WATCH_S):
                if not self._owner.alive:
                    (end or _end_this_worker)()
                    return

        watcher = threading.Thread(target=watch, daemon=True)
        if self._owner != self._worker:
            watcher.start()
        try:
            yield
        finally:
            done.set()

    def leave(self) -> None:
        """Strike this worker from the lease; the owner keeps it while it lives."""
        if not self._path.parent.is_dir():
            return
        with self._locked() as store:
            content = store.read()
            rest = tuple(
                worker for worker in content.workers if worker.party != self._worker and worker.party.alive
            )
            owner = content.owner if content.owner and content.owner != self._worker else None
            store.write(_Content(owner, rest))

    def _may_join(self, content: _Content) -> bool:
        """Return True when the living holder is this very command or one that started it."""
        owner = content.owner
        if owner is None or not owner.alive:
            return False
        if owner == self._owner:
            return True
        return any((parent.pid, parent.start) == (owner.pid, owner.start) for parent in _parents(self._owner))

    def _refuse_living(self, content: _Content) -> None:
        owner = content.owner
        if owner is not None and owner.alive and not self._may_join(content):
            raise LeaseHeld(
                where=self._path.parent.name,
                what=f"another command works on this cluster: {owner.command} (PID {owner.pid})",
                remedy="Wait until it ends",
                owner_pid=owner.pid,
            )

    def _orphans(self, content: _Content) -> list[Party]:
        return [
            worker.party for worker in content.workers if worker.orphaned and worker.party != self._worker
        ]

    @contextmanager
    def _locked(self) -> Iterator[_LeaseFile]:
        """Open and lock the file, again when somebody has removed it (with its folder) in the meantime."""
        while True:
            private_folder(self._path.parent)
            try:
                descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            except FileNotFoundError:
                continue
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                if _same_file(descriptor, self._path):
                    yield _LeaseFile(descriptor)
                    return
            finally:
                os.close(descriptor)


class _LeaseFile:
    """The open, locked file."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def read(self) -> _Content:
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        text = os.read(self._descriptor, 1 << 20)
        try:
            data = json.loads(text)
            owner = Party(**data["owner"]) if data["owner"] else None
            workers = tuple(
                Worker(Party(**worker["party"]), Party(**worker["boss"])) for worker in data["workers"]
            )
            return _Content(owner, workers)
        except (ValueError, KeyError, TypeError):  # empty, or cut short by a crash: nobody holds it
            return _Content(None, ())

    def write(self, content: _Content) -> None:
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        os.write(self._descriptor, json.dumps(asdict(content)).encode())


def _end_this_worker() -> None:
    """Kill this process, and its children where it leads their group, as Ansible's workers do."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _same_file(descriptor: int, path: Path) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    here = os.fstat(descriptor)
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def _parents(party: Party) -> list[process.Process]:
    return process.ancestors(party.pid)


def _party(pid: int) -> Party:
    found = process.find(pid)
    if found is None:
        raise OwnerGone(
            what=f"the command with PID {pid} has ended",
            remedy="Run the same command again; it goes on from here",
        )
    return Party(pid=found.pid, start=found.start, command=found.shown)
