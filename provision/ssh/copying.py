"""Names of files as rsync and HDFS's shell must be given them: each means the one file of that name."""

from __future__ import annotations

import re
import shlex
import urllib.parse

_RSYNC_WILD = re.compile(r"[*?[]")
_HDFS_WILD = re.compile(r"[\\*?{}\[\]]")


def has_wildcard(path: str) -> bool:
    """Say whether rsync takes a path on a machine for a pattern."""
    return bool(_RSYNC_WILD.search(path))


def rsync_literal(path: str) -> str:
    """Return a path on a machine to copy from; only in parts with wildcards rsync knows a backslash."""
    return "/".join(
        re.sub(r"[\\*?[]", r"\\\g<0>", part) if has_wildcard(part) else part for part in path.split("/")
    )


def hdfs_put(local: str, target: str) -> str:
    """Return the shell command that copies a machine's file or folder (an absolute path) into HDFS.

    The local path is read as a URI, and where it is none as a path in HDFS.
    """
    return f"hdfs dfs -put -f {shlex.quote(urllib.parse.quote(local))} {shlex.quote(_hdfs_literal(target))}"


def hdfs_get(source: str, folder: str) -> str:
    """Return the shell command that copies out of HDFS into a folder of a machine, which it makes."""
    return f"mkdir {folder} && hdfs dfs -get {shlex.quote(_hdfs_literal(source))} {folder}/"


def _hdfs_literal(path: str) -> str:
    return _HDFS_WILD.sub(r"\\\g<0>", path)
