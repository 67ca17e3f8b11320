"""`muster-sessions`: end the SSH sessions that no key which may log in now has opened.

Runs as root whenever keys may have been taken away. Which key has opened a session is what sshd has told the
journal as root; a session of which that knows nothing any more is ended too. Jobs are units and go on, and so
does what a session has left behind that is no child of its own.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import pwd
import re
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ACCOUNTS = ("muster", "hadoop")
"""The accounts that keys open; others are their owners' business."""
KEYS = Path("/etc/muster/authorized_keys")
"""One file for each account, and one of the queue of jobs; sshd reads no others for it."""
JOURNAL = (
    "journalctl", "--quiet", "--boot", "--output=json", "--output-fields=MESSAGE,_PID",
    "_UID=0", "SYSLOG_IDENTIFIER=sshd", "SYSLOG_IDENTIFIER=sshd-session",
)  # fmt: skip
HELD = "muster-held"
"""What a program calls itself that only holds a connection open: nobody works there."""
PATIENCE_S = 2.0
"""How long a session may take to end when it is asked to."""
_ACCEPTED = re.compile(r"Accepted publickey for (\S+) from .* (SHA256:[A-Za-z0-9+/]+)")
_KEY = re.compile(r"(?:^|\s)(?:ssh|ecdsa|sk)-\S+ ([A-Za-z0-9+/]+=*)")


@dataclass(frozen=True)
class Process:
    """A process. `user`: the number of who runs it."""

    pid: int
    parent: int
    name: str
    user: int


def processes(proc: Path = Path("/proc")) -> dict[int, Process]:
    """Return all processes by their numbers."""
    found = {}
    for path in proc.glob("[0-9]*"):
        with suppress(OSError, ValueError, KeyError):
            told = dict(line.partition(":\t")[::2] for line in (path / "status").read_text().splitlines())
            user = int(told["Uid"].split()[1])  # the folder's owner says root where nobody may look in
            found[int(path.name)] = Process(int(path.name), int(told["PPid"]), told["Name"], user)
    return found


def sessions(running: Mapping[int, Process], accounts: Mapping[int, str]) -> dict[int, str]:
    """Return the accounts of living SSH connections, by the process of root's that holds each.

    Args:
        running: all processes.
        accounts: names by numbers.
    """
    servers = [process for process in running.values() if process.name.startswith("sshd")]
    holders = {process.pid for process in servers if process.user == 0}
    return {
        process.parent: accounts[process.user]
        for process in servers
        if process.user in accounts and process.parent in holders
    }


def opened(lines: Iterable[str]) -> dict[int, str]:
    """Return the fingerprints of the keys that connections were opened with, by process.

    Args:
        lines: the journal's, in order; of a process the last one counts.
    """
    found = {}
    for line in lines:
        with suppress(ValueError, KeyError, TypeError):
            entry = json.loads(line)
            if told := _ACCEPTED.match(entry["MESSAGE"]):
                found[int(entry["_PID"])] = told[2]
    return found


def fingerprints(text: str) -> set[str]:
    """Return the fingerprints of the keys in a file of keys."""
    found = set()
    for key in _KEY.findall(text):
        with suppress(binascii.Error):
            digest = base64.b64encode(hashlib.sha256(base64.b64decode(key)).digest()).decode()
            found.add(f"SHA256:{digest.rstrip('=')}")
    return found


def unwanted(
    held: Mapping[int, str], keys: Mapping[int, str], allowed: Mapping[str, Collection[str]]
) -> list[int]:
    """Return the connections to end: all but those whose key is known and may log in as that account."""
    return [pid for pid, account in held.items() if keys.get(pid) not in allowed[account]]


def family(pid: int, running: Mapping[int, Process]) -> list[int]:
    """Return a process and all that descend from it, itself first."""
    found = [pid]
    for one in found:
        found += [process.pid for process in running.values() if process.parent == one]
    return found


def ancestors(pid: int, running: Mapping[int, Process]) -> set[int]:
    """Return a process and those that it descends from."""
    found: set[int] = set()
    while pid in running and pid not in found:
        found.add(pid)
        pid = running[pid].parent
    return found


def end(pids: Collection[int]) -> None:
    """End processes: asked to at first, then without being asked."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    until = time.monotonic() + PATIENCE_S
    while (left := [pid for pid in pids if Path(f"/proc/{pid}").exists()]) and time.monotonic() < until:
        time.sleep(0.05)
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def main() -> int:
    """End them; the session that this runs in stays."""
    allowed, accounts = {}, {}
    for name in ACCOUNTS:
        paths = [path for path in (KEYS / name, KEYS / f"{name}.queue") if path.exists()]
        allowed[name] = {one for path in paths for one in fingerprints(path.read_text())}
        with suppress(KeyError):
            accounts[pwd.getpwnam(name).pw_uid] = name
    told = subprocess.run(JOURNAL, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    running = processes()
    held = sessions(running, accounts)
    ours = ancestors(os.getpid(), running)
    going = [pid for pid in unwanted(held, opened(told.stdout.splitlines()), allowed) if pid not in ours]
    end([one for pid in going for one in family(pid, running)])
    sys.stdout.write(f"ended {len(going)} SSH sessions\n" if going else "")
    return 0
