"""`muster-decommission PLAN`, where the NameNode is: DataNodes that shall go have what is on them copied.

The plan (JSON): `verb`, addresses of the DataNodes `leaving` and `staying`. None of the verbs waits. `begin`
may be repeated, and should be while files are written; `look` only looks. Both print {"left": {address:
blocks}}, the DataNodes that may have something that is nowhere else, or {"error"}. `end` has all serve again.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from muster_node import daemons, files
from muster_node.hdfs import copies
from muster_node.hdfs.webhdfs import SUPERUSER, Hdfs, HdfsError

EXCLUDE = Path("/etc/hadoop/dfs.exclude")
RELOAD = ("/usr/bin/systemctl", "reload", "hdfs-namenode")
DONE = Path("/run/muster-hdfs-decommissioned")
"""The addresses of those that HDFS has decommissioned, for DEAD_S; `end` takes it back."""
DEAD_S = 60.0
"""After so long a silence the NameNode takes a DataNode for dead (group_vars)."""
SILENT_S = 120.0
"""By then fsck misses what was on a dead one, too."""


class NotDecommissioned(Exception):
    """They cannot be, for now; the text says why."""


@dataclass(frozen=True)
class Plan:
    """What is to be done; see the module. An address is '' where none is known."""

    verb: str
    leaving: Sequence[str]
    staying: Sequence[str] = ()


def begin(plan: Plan, url: str) -> None:
    """Tell the NameNode at `url`. Raises NotDecommissioned, HdfsError, OSError, ValueError."""
    known = _members(url)
    # One that is dead when it is excluded counts as done at once, also when it lives again.
    going = [address for address in plan.leaving if address in known.states or address in known.to_copy]
    if not going:
        return
    if silent := [address for address in plan.staying if address in known.dead]:
        raise NotDecommissioned(f"the DataNode at {', '.join(silent)} is to stay and does not answer")
    hdfs, most = Hdfs(url, user=SUPERUSER), min(copies.MOST, len(plan.staying))
    copies.follow(hdfs, most)  # fewer may have been wished before, and those that stay after all have copies
    if known.serving.intersection(going) or _excluded() != sorted(going):
        _exclude(going)
        known = _members(url)
    if known.serving.intersection(going):
        raise NotDecommissioned("the NameNode was started by an older version of Muster")
    # HDFS would wait for room for more. Not before: it would take one from those that stay, and copy it back.
    if most < copies.MOST:
        copies.lower(hdfs, most)


def end(plan: Plan, url: str) -> None:
    """Have all of them serve again. Raises HdfsError, OSError, CalledProcessError."""
    copies.follow(Hdfs(url, user=SUPERUSER), min(copies.MOST, len(plan.leaving) + len(plan.staying)))
    DONE.unlink(missing_ok=True)
    _exclude([])


def done() -> frozenset[str]:
    """Return the addresses of those decommissioned so short a time ago that they may count as living."""
    try:
        recent = time.time() - DONE.stat().st_mtime < DEAD_S
        return frozenset(DONE.read_text(encoding="utf-8").split() if recent else ())
    except FileNotFoundError:
        return frozenset()


def look(plan: Plan, url: str) -> Mapping[str, int]:
    """Return the blocks that are left by address. Raises NotDecommissioned, OSError, ValueError."""
    known = _members(url)
    listed = {*known.states, *known.to_copy, *(at for at, s in known.dead.items() if s < SILENT_S)}
    silent = [address for address in plan.leaving if address not in listed]
    left = {
        address: known.to_copy.get(address, 0)
        for address in plan.leaving
        if address not in silent and known.states.get(address) != daemons.DECOMMISSIONED
    }
    if silent and not left and not daemons.is_healthy(url):
        where = ", ".join(address or "one without an address" for address in silent)
        raise NotDecommissioned(f"blocks are missing (hdfs fsck / tells which), perhaps they are on {where}")
    if not left:
        _note_done([at for at in plan.leaving if known.states.get(at) == daemons.DECOMMISSIONED])
    return left


def _note_done(addresses: Sequence[str]) -> None:
    """Without it main.yml waits some seconds for machines that are given nothing any more."""
    with suppress(OSError):
        files.write(DONE, "".join(f"{address}\n" for address in addresses), mode=0o600)


def _members(url: str) -> daemons.Members:
    known = daemons.members(url)
    if known.safe_mode:
        raise NotDecommissioned("HDFS is in safe mode")
    return known


def _exclude(addresses: Sequence[str]) -> None:
    """Let exactly these give away what they have."""
    EXCLUDE.write_text("".join(f"{address}\n" for address in sorted(addresses)), encoding="utf-8")
    subprocess.run(RELOAD, check=True, capture_output=True)


def _excluded() -> list[str]:
    return EXCLUDE.read_text(encoding="utf-8").split() if EXCLUDE.exists() else []


def main() -> int:
    """Print what is left, or why it cannot be told."""
    plan = Plan(**json.loads(sys.argv[1]))
    url = f"http://{socket.gethostname()}:{daemons.NAMENODE_PORT}"
    left: Mapping[str, int] = {}
    try:
        if plan.verb == "end":
            end(plan, url)
        else:
            if plan.verb == "begin":
                begin(plan, url)
            left = look(plan, url)
    except (NotDecommissioned, HdfsError) as error:
        return _told({"error": str(error)})
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        return _told({"error": f"the NameNode does not answer ({error})"})
    return _told({"left": left})


def _told(answer: Mapping[str, object]) -> int:
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0
