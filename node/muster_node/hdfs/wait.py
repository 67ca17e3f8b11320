"""`muster-wait-for-folder NAMENODE PATH`: returns as soon as HDFS has the folder.

systemd's start timeout ends a vain wait.
"""

from __future__ import annotations

import sys
import time

from muster_node.daemons import NAMENODE_PORT
from muster_node.hdfs.webhdfs import Hdfs, HdfsError

LOOK_EVERY_S = 0.5


def main() -> int:
    """Wait."""
    namenode, path = sys.argv[1:]
    hdfs = Hdfs(f"http://{namenode}:{NAMENODE_PORT}", user="spark", timeout_s=10)
    while not _there(hdfs, path):
        time.sleep(LOOK_EVERY_S)
    return 0


def _there(hdfs: Hdfs, path: str) -> bool:
    try:
        return hdfs.status(path) is not None
    except HdfsError:
        return False
