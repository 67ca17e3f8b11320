"""Processes of this computer, told apart by PID and start time (a PID alone is used again).

Not psutil: its create_time() follows the clock, and a step of it would let go of a lease that is held.
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

_PROGRAM_OF = {
    "provision.cli": "muster",
    "provision/cli.py": "muster",
    "ansible.cli.playbook": "ansible-playbook",
}
"""How a command line names a program -> what its user knows it as."""
_PROGRAM = re.compile(rf"(?:^|[ /])(ansible-playbook|muster|{'|'.join(map(re.escape, _PROGRAM_OF))})(?= |$)")


@dataclass(frozen=True)
class Process:
    """A process. `start` is opaque: equal for the same process, different for another with the same PID."""

    pid: int
    start: str
    parent: int
    command: str

    @property
    def program(self) -> str:
        """`muster` or `ansible-playbook` when it is one of these, else ''."""
        return _PROGRAM_OF.get(found[1], found[1]) if (found := _PROGRAM.search(self.command)) else ""

    @property
    def shown(self) -> str:
        """The command line as a person knows it: without the interpreter and without folders."""
        found = _PROGRAM.search(self.command)
        words = (self.program + self.command[found.end() :] if found else self.command).split()
        names = [word if word.startswith("-") else Path(word).name for word in words]
        if len(names) > 1 and names[0].startswith("python"):
            names = names[1:]
        return " ".join(names)[:120]

    @property
    def alive(self) -> bool:
        """True while this very process runs (a zombie does not)."""
        return alive(self.pid, self.start)


def find(pid: int) -> Process | None:
    """Return the process `pid`, or None when there is none (or only a zombie)."""
    return _from_proc(pid) if Path("/proc/self/stat").exists() else _from_ps(pid)


def this() -> Process:
    """Return this process."""
    return find(os.getpid()) or Process(os.getpid(), "", os.getppid(), "")


def alive(pid: int, start: str) -> bool:
    """Return True while the process with this PID and start time runs."""
    found = find(pid)
    return found is not None and found.start == start


def ancestors(pid: int) -> list[Process]:
    """Return the parents of `pid`, nearest first."""
    chain: list[Process] = []
    current = find(pid)
    while current is not None and current.parent > 1:
        current = find(current.parent)
        if current is not None:
            chain.append(current)
    return chain


def _from_proc(pid: int) -> Process | None:
    base = Path("/proc") / str(pid)
    try:
        # pid (comm) state ppid …; comm may hold blanks and brackets, so cut after the last one
        fields = (base / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        command = (base / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")[:8]
    except OSError:
        return None
    state, parent, start = fields[0], int(fields[1]), fields[19]
    return (
        None if state in "ZX" else Process(pid=pid, start=f"{boot}-{start}", parent=parent, command=command)
    )


def _from_ps(pid: int) -> Process | None:
    done = subprocess.run(
        ["ps", "-o", "ppid=,stat=,lstart=,command=", "-p", str(pid)],
        env={**os.environ, "LC_ALL": "C"},
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    fields = done.stdout.split()
    if len(fields) < 8 or fields[1].startswith("Z"):
        return None
    return Process(pid=pid, start=" ".join(fields[2:7]), parent=int(fields[0]), command=" ".join(fields[7:]))
