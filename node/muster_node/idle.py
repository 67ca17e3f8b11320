"""`muster-idle`: ends this machine when the cluster has not been used for as long as its settings say.

Called every 20 seconds; `muster-idle show` (as root) prints what it sees and ends nothing.

In use: a job that runs or waits, a Spark application that has processors, a kernel or terminal of the
notebook that computes or was used a moment ago, another kernel, engines with work, the form when it is asked,
an SSH session in which something runs (a shell is enough). Not in use: SSH connections that are only kept
open, such as those of Ansible or of `./muster ui`, and notebooks that are only open.

The master decides. The other machines tell it when they are in use, and end when it has been gone for a
while; one that has never seen its master decides for itself.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from muster_node import daemons, files
from muster_node.notebook import kernels
from muster_node.queue import records
from muster_node.sessions import HELD

SETTINGS = Path("/etc/muster/idle.json")
STATE = Path("/run/muster-idle.json")
TOLD = Path("/run/muster-busy")
USED = Path("/run/muster-used")
"""Services touch a file of theirs here when they are used; `muster-idle.service` makes the folder."""
END = ["/usr/local/sbin/muster-end", "now"]
TOLD_COUNTS_S = 60.0
"""How long the word of another machine or of a service counts."""
MASTER_GONE_S = 300.0
"""How long the master may be gone before the others end too; a reboot takes less."""
SSH_PORT = 22


def processes(proc: Path = Path("/proc")) -> Iterator[tuple[int, str, str]]:
    """Yield (number of the parent, name, command line) of every process."""
    for path in proc.glob("[0-9]*"):
        with suppress(OSError, ValueError):
            name, rest = (path / "stat").read_text().partition("(")[2].rsplit(")", 1)
            line = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            yield int(rest.split()[1]), name, line


def sessions(proc: Path = Path("/proc")) -> list[str]:
    """Return what people run on this machine: in SSH sessions, and kernels that are not the notebook's."""
    names = {}
    for path in proc.glob("[0-9]*/comm"):
        with suppress(OSError):
            names[int(path.parent.name)] = path.read_text().strip()
    found = []
    for parent, name, line in processes(proc):
        if "ipykernel" in line and kernels.RUNTIME not in line:
            found.append("a notebook kernel")
        elif names.get(parent, "").startswith("sshd") and not name.startswith("sshd") and not is_held(line):
            found.append(f"{name} in an SSH session")
    return found


def is_held(line: str) -> bool:
    """Say whether a process only holds a connection open, by its command line."""
    return line.split(" ", maxsplit=1)[0] == HELD


def jobs(now: float) -> list[str]:
    """Return the jobs that run or wait on the master; those that ended since the last look count too."""
    if not records.here():
        return []
    since = now - TOLD_COUNTS_S
    return [each.run for each in records.every() if each.state not in records.FINAL or each.ended > since]


def applications() -> list[str]:
    """Return the Spark applications that have processors, whoever started them; none without an answer."""
    with suppress(OSError, ValueError):
        return list(daemons.spark(f"http://{socket.gethostname()}:{daemons.MASTER_PORT}", 3).computing)
    return []


def services(now: float, folder: Path = USED) -> list[str]:
    """Return the services that were used a moment ago, at `now` seconds since the epoch."""
    with suppress(OSError):
        return sorted(path.name for path in folder.iterdir() if now - path.lstat().st_mtime < TOLD_COUNTS_S)
    return []


def reachable(host: str, port: int) -> bool:
    """Return whether something listens there."""
    with suppress(OSError), socket.create_connection((host, port), timeout=3):
        return True
    return False


def decide(state: dict[str, float], *, minutes: int, master: str, now: float) -> str:
    """Return why the machine is to end, '' when it is not. Times are seconds of one steady clock."""
    if master and state.get("master"):
        gone = now - state["master"]
        return f"{master} has been gone for {gone:.0f} s" if gone > MASTER_GONE_S else ""
    idle = now - state["busy"]
    return f"nobody has used it for {idle / 60:.0f} minutes" if idle >= 60 * minutes else ""


def main() -> int:
    """Look once."""
    settings = json.loads(SETTINGS.read_text())
    if not settings["minutes"]:
        return 0
    now = time.monotonic()
    try:
        state: dict[str, float] = json.loads(STATE.read_text())
    except (OSError, ValueError):
        state = {"busy": now}  # since this boot
    master = str(settings["master"])
    used = sessions()
    if master:
        if used:
            reachable(master, settings["port"])  # to connect is to say it
        if reachable(master, SSH_PORT):
            state["master"] = now
    else:
        used += jobs(time.time()) + applications() + services(time.time()) + kernels.used(TOLD_COUNTS_S)
        with suppress(OSError):
            if time.time() - TOLD.stat().st_mtime < TOLD_COUNTS_S:
                used.append("another machine")
    if used:
        state["busy"] = now
    files.write(STATE, json.dumps(state))
    why = decide(state, minutes=settings["minutes"], master=master, now=now)
    if sys.argv[1:] == ["show"]:
        print(f"idle for {now - state['busy']:.0f} s; in use: {', '.join(used) or 'nothing'}")
    elif why:
        print(f"<5>this machine ends: {why}", flush=True)
        return subprocess.run(END, stdin=subprocess.DEVNULL, check=False).returncode
    return 0
