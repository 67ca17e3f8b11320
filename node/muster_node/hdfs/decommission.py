"""`muster-decommission begin|look ADDRESS…`, where the NameNode is: have what is on these DataNodes copied.

`begin` may be repeated; neither waits. Both print {"left": {address: blocks}}, without the DataNodes on which
there is nothing any more that is not elsewhere, or {"error"}. All of them serve until they are stopped.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from muster_node import daemons
from muster_node.hdfs import copies
from muster_node.hdfs.webhdfs import Hdfs, HdfsError

EXCLUDE = Path("/etc/hadoop/dfs.exclude")
RELOAD = ("/usr/bin/systemctl", "reload", "hdfs-namenode")
SUPERUSER = "hdfs"
COPIES = 3
"""As many as HDFS keeps of a file at most, unless a user asks for more."""


class NotDecommissioned(Exception):
    """They cannot be, for now; the text says why."""


@dataclass(frozen=True)
class Wish:
    """Which DataNodes shall go, by address, of the NameNode at `url`."""

    url: str
    leaving: Sequence[str]


def begin(wish: Wish) -> None:
    """Tell the NameNode. Raises NotDecommissioned."""
    known = daemons.members(wish.url)
    stay = len(known.serving - set(wish.leaving))
    if stay < 1:
        raise NotDecommissioned("no other DataNode has joined")
    if known.serving.intersection(wish.leaving):
        EXCLUDE.write_text("".join(f"{address}\n" for address in wish.leaving), encoding="utf-8")
        subprocess.run(RELOAD, check=True, capture_output=True)
        if daemons.members(wish.url).serving.intersection(wish.leaving):
            raise NotDecommissioned("the NameNode was started by an older version of Muster")
    # Not before: a copy that is too many would be taken from one that stays, and be made again there.
    if stay < COPIES:
        copies.lower(Hdfs(wish.url, user=SUPERUSER), stay)


def look(wish: Wish) -> Mapping[str, int]:
    """Return the blocks that are left by address. Raises NotDecommissioned."""
    known = daemons.members(wish.url)
    silent = [address for address in wish.leaving if address not in known.states]
    if known.missing and silent:
        raise NotDecommissioned(
            f"{known.missing} blocks are missing, perhaps they are on {', '.join(silent)}, where none answers"
        )
    return {
        address: known.to_copy.get(address, 0)
        for address in wish.leaving
        if known.states.get(address, daemons.DECOMMISSIONED) != daemons.DECOMMISSIONED
    }


def main() -> int:
    """Print what is left, or why it cannot be told."""
    verb, *leaving = sys.argv[1:]
    wish = Wish(f"http://{socket.gethostname()}:{daemons.NAMENODE_PORT}", leaving)
    try:
        if verb == "begin":
            begin(wish)
        left = look(wish)
    except (NotDecommissioned, HdfsError) as error:
        return _told({"error": str(error)})
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        return _told({"error": f"the NameNode does not answer ({error})"})
    return _told({"left": left})


def _told(answer: Mapping[str, object]) -> int:
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0
