"""A run's results in HDFS: what lies in its folder `results` goes to `/results/<run>/`, over WebHDFS."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from muster_node.hdfs.webhdfs import Hdfs, HdfsGone

LOST = "WARNING: not copied to HDFS: "
"""Begins a log line; what begins with WARNING: is never taken for the reason of a failure."""


def files(folder: Path) -> list[Path]:
    """Return the files below a folder, and the links to files; none that has no path, so deep does it lie."""
    found = (os.path.join(base, name) for base, _, names in os.walk(folder) for name in names)  # noqa: PTH118
    return sorted(Path(path) for path in found if os.path.isfile(path))  # noqa: PTH113  a Path's own raises


def _led_away(folder: Path) -> list[Path]:
    """Return the links to folders that lie elsewhere: what is in those is copied nowhere."""
    links = (Path(base, name) for base, names, _ in os.walk(folder) for name in names)
    found = (path for path in links if os.path.islink(path))  # noqa: PTH114
    return sorted(path for path in found if not path.resolve().is_relative_to(folder.resolve()))


def publish(folder: Path, target: str, settings: Mapping[str, object], log: IO[bytes]) -> list[str]:
    """Copy the files in `folder` to the HDFS folder `target`; a file that the job put there itself stays.

    What cannot be copied keeps nothing else from it: it is a line in the log, and named in what is returned.

    Args:
        folder: the run's results on this machine.
        target: the folder in HDFS.
        settings: `namenode_url` (empty = there is no HDFS) and `copies` of each block.
        log: the run's log.
    """
    url = str(settings.get("namenode_url", ""))
    if not url:
        return []
    lost = dict.fromkeys(_led_away(folder), "a link to a folder elsewhere")
    hdfs, gone = Hdfs(url), ""
    there: dict[str, Mapping[str, int]] = {}
    for path in files(folder):
        if gone:
            lost[path] = gone
            continue
        parent = (Path(target) / path.relative_to(folder)).parent.as_posix()
        try:
            if parent not in there:
                hdfs.make_folder(parent)
                there[parent] = hdfs.lengths(parent) or {}
            if path.name not in there[parent]:
                with path.open("rb") as source:
                    length = path.stat().st_size
                    hdfs.write(f"{parent}/{path.name}", source, length, copies=int(str(settings["copies"])))
        except Exception as error:  # noqa: BLE001  the job has ended well or not all the same; its record says so
            lost[path] = " ".join(str(error).split())
            gone = lost[path] if isinstance(error, HdfsGone) else ""
    names = {str(path.relative_to(folder)): why for path, why in lost.items()}
    for name, why in names.items():
        log.write(f"{LOST}{name}: {why}\n".encode("utf-8", "backslashreplace"))
    return list(names)
