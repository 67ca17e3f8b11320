"""One launch of a cluster at the emulator of EC2, watched until its daemons are registered."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bench.machines import cpu_s, nodes_of, tree_cpu_s, until_registered
from provision.core.paths import PROJECT
from tests.emulators.ec2.harness import Emulator

LATE_S = 120.0
"""So long may daemons still register when the command has ended: Flintrock's does not wait for all."""
ENDING_S, GONE_S = 20.0, 60.0


@dataclass(frozen=True)
class Tool:
    """A launcher of clusters, and what it makes.

    Attributes:
        master: what the master's tag Name is.
        nodes: machines.
        daemons: how many of them run a DataNode and a Worker.
    """

    name: str
    launch: Sequence[str]
    destroy: Sequence[str]
    environment: Mapping[str, str]
    master: str
    nodes: int
    daemons: int


@dataclass(frozen=True)
class Took:
    """What a launch took: seconds, processor seconds, calls of the API; None = its end was not waited for."""

    load: float
    registered_s: float
    nodes_cpu_s: float
    own_cpu_s: float
    calls: int
    returned_s: float | None = None
    own_cpu_whole_s: float | None = None


class Command:
    """A command that runs, in a session of its own: Ctrl-C here leaves its end to whoever started it."""

    def __init__(self, words: Sequence[str], environment: Mapping[str, str], output: IO[bytes]) -> None:
        self.began = time.monotonic()
        self.status: int | None = None
        self.seconds = self._cpu_s = 0.0
        self._process = subprocess.Popen(
            words, cwd=PROJECT, env=environment, stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        self._waiter = threading.Thread(target=self._wait)
        self._waiter.start()

    def _wait(self) -> None:
        _, status, used = os.wait4(self._process.pid, 0)
        self.seconds, self._cpu_s = time.monotonic() - self.began, used.ru_utime + used.ru_stime
        self.status = self._process.returncode = os.waitstatus_to_exitcode(status)

    def cpu_s(self) -> float:
        """Return the processor time of the command and of all that it has started, until now or its end."""
        return self._cpu_s or tree_cpu_s(self._process.pid)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for its end; return whether it has ended."""
        self._waiter.join(seconds)
        return not self._waiter.is_alive()

    def end(self) -> None:
        """Interrupt it, as Ctrl-C would, and kill it when that does not help."""
        for number in (signal.SIGINT, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            if self.wait(ENDING_S):
                break


def launch(tool: Tool, emulator: Emulator, log: Path, *, whole: bool) -> Took:
    """Launch a cluster; `whole`: wait for the command's end, too, else interrupt it when all is registered.

    Raises RuntimeError with the end of the log: the command failed, or the daemons did not register.
    """
    load, before = os.getloadavg()[0], _calls(emulator)
    with log.open("ab") as output:
        command = Command(tool.launch, tool.environment, output)
        try:
            _wait_until_registered(tool, emulator, command, log)
            registered, own = time.monotonic() - command.began, command.cpu_s()
            nodes = sum(cpu_s(node["unit"]) for node in nodes_of(emulator.cluster_id).values())
            took = Took(load, registered, nodes, own, _calls(emulator) - before)
            if whole:
                command.wait()
        finally:
            command.end()
    if not whole:
        return took
    if command.status:
        raise RuntimeError(f"{tool.name} failed\n{_tail(log)}")
    return Took(**{**vars(took), "returned_s": command.seconds, "own_cpu_whole_s": command.cpu_s()})


def destroy(tool: Tool, emulator: Emulator, log: Path) -> None:
    """Delete the cluster, and see that no machine is left. Raises RuntimeError: one is."""
    with log.open("ab") as output:
        subprocess.run(
            tool.destroy, cwd=PROJECT, env=tool.environment, stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, check=False, timeout=600,
        )  # fmt: skip
    end = time.monotonic() + GONE_S
    while left := [*nodes_of(emulator.cluster_id), *(one["id"] for one in emulator.alive())]:
        if time.monotonic() > end:
            raise RuntimeError(f"{tool.name} has left {', '.join(left)}\n{_tail(log)}")
        time.sleep(0.5)


def _wait_until_registered(tool: Tool, emulator: Emulator, command: Command, log: Path) -> None:
    watch: subprocess.Popen[bytes] | None = None
    try:
        while True:
            late = command.status is not None and time.monotonic() > command.began + command.seconds + LATE_S
            if command.status or late:
                raise RuntimeError(f"{tool.name} {'failed' if command.status else 'returned'}\n{_tail(log)}")
            if watch is None or watch.poll():
                watch = _watch(tool, emulator)
            elif watch.poll() == 0:
                return
            time.sleep(0.1)
    finally:
        if watch is not None:
            watch.kill()
            watch.wait()


def _watch(tool: Tool, emulator: Emulator) -> subprocess.Popen[bytes] | None:
    """Begin to look at the masters, once all machines are there."""
    nodes = nodes_of(emulator.cluster_id)
    if len(nodes) < tool.nodes:
        return None
    masters = [one["id"] for one in emulator.alive() if one["tags"].get("Name") == tool.master]
    command = until_registered(nodes[masters[0]], tool.daemons) if masters else []
    return subprocess.Popen(command) if command else None


def _calls(emulator: Emulator) -> int:
    return sum(emulator.books()["calls"].values())


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-3000:]
