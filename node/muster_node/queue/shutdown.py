"""The end of the machines: running jobs may checkpoint, and what there is of results goes to object storage.

`farewell` runs as root; like the queue it reads what the user `hadoop` wrote, tells units by checked names,
and writes nothing. The copying is done by `keep`, as that user.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from muster_job import queue

CHECKPOINT_S = 120.0
"""How long a job may go on after it was told to end; half of the time left, if that is less."""
ROLE = Path("/etc/muster/store-role.json")
"""Credentials of the machine's own role, where that may use the object store."""


def farewell(deadline: float) -> None:
    """End what runs and copy what there is, all before `deadline` (seconds since the epoch)."""
    _systemctl("stop", "muster-jobs.path", "muster-jobs.service")  # no next run
    units = sorted(queue.active())
    for unit in units:
        print(f"{unit} is told that the machines end", flush=True)
        # Its runner alone, which tells the program: what that needs to checkpoint, such as Spark, goes on.
        _systemctl("kill", "--kill-whom=main", "--signal=SIGUSR1", unit)
    end = time.monotonic() + min(CHECKPOINT_S, (deadline - time.time()) / 2)
    while (left := sorted(queue.active())) and time.monotonic() < end:
        time.sleep(0.2)
    for unit in left:
        print(f"{unit} goes on; it is ended", flush=True)
        _systemctl("stop", unit)
    if ROLE.exists():  # the machine's own role: what was fetched hours ago may be over
        subprocess.run(["/opt/muster/bin/muster-role-credentials"], stdin=subprocess.DEVNULL, check=False)
    queue.as_user("keep", str(deadline))


def _systemctl(*words: str) -> None:
    subprocess.run(["systemctl", *words], stdin=subprocess.DEVNULL, check=False)
