"""The end of the machines: running jobs may checkpoint, and what there is of results goes to object storage.

`shutdown` runs as root; like dispatch it reads what the user `hadoop` wrote, names units by checked names,
and writes nothing. The upload is done as that user.
"""

from __future__ import annotations

import subprocess
import time
from contextlib import suppress

from muster_node import role_credentials
from muster_node.queue import dispatch
from muster_node.tracking import settings as tracking

CHECKPOINT_S = 120.0
"""How long a job may go on after it was asked to checkpoint; half of the time left, if that is less."""
TRACKED_S = 60.0
"""How long telling MLflow, and saving what it knows, may take."""
ROLE = role_credentials.TARGET
"""Credentials of the machine's own role, where that may use the object store."""


def shutdown(deadline: float) -> None:
    """End what runs and upload what there is, all before `deadline` (seconds since the epoch)."""
    _systemctl("stop", "muster-jobs.path", "muster-jobs.service")  # no next run
    units = sorted(dispatch.active())
    for unit in units:
        print(f"{unit} is asked to checkpoint: the machines end", flush=True)
        # Its runner alone, which asks the program: what that needs to checkpoint, such as Spark, goes on.
        _systemctl("kill", "--kill-whom=main", "--signal=SIGUSR1", unit)
    end = time.monotonic() + min(CHECKPOINT_S, (deadline - time.time()) / 2)
    while (left := sorted(dispatch.active())) and time.monotonic() < end:
        time.sleep(0.2)
    for unit in left:
        print(f"{unit} goes on; it is ended", flush=True)
        _systemctl("stop", unit)
    if ROLE.exists():  # the machine's own role: what was fetched hours ago may be over
        subprocess.run(["/opt/muster/bin/muster-role-credentials"], stdin=subprocess.DEVNULL, check=False)
    if tracking.FILE.exists():
        for unit in ("muster-tracking", "muster-tracking-save"):
            _systemctl("start", unit, within_s=min(TRACKED_S, (deadline - time.time()) / 2))
    dispatch.as_user("upload", str(deadline))


def _systemctl(*words: str, within_s: float | None = None) -> None:
    with suppress(subprocess.TimeoutExpired):
        subprocess.run(["systemctl", *words], stdin=subprocess.DEVNULL, check=False, timeout=within_s)
