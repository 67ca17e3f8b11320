"""A run's results in HDFS: what lies in its folder `results` goes to `/results/<run>/`, over WebHDFS."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import IO

from muster_node.hdfs.webhdfs import Hdfs

LOST = "WARNING: the results were not all copied to HDFS: "
"""Begins a log line; what begins with WARNING: is never taken for the reason of a failure."""


def publish(folder: Path, target: str, settings: Mapping[str, object], log: IO[bytes]) -> None:
    """Copy the files in `folder` to the HDFS folder `target`; a file that the job put there itself stays.

    Whatever goes wrong is a line in the log: the run is what it was without.

    Args:
        folder: the run's results on this machine.
        target: the folder in HDFS.
        settings: `namenode_url` (empty = there is no HDFS) and `copies` of each block.
        log: the run's log.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    url = str(settings.get("namenode_url", ""))
    if not files or not url:
        return
    try:
        hdfs = Hdfs(url)
        there: dict[str, Mapping[str, int]] = {}
        for path in files:
            parent = (Path(target) / path.relative_to(folder)).parent.as_posix()
            if parent not in there:
                hdfs.make_folder(parent)
                there[parent] = hdfs.lengths(parent) or {}
            if path.name in there[parent]:
                continue
            with path.open("rb") as source:
                length = path.stat().st_size
                hdfs.write(f"{parent}/{path.name}", source, length, copies=int(str(settings["copies"])))
    except Exception as error:  # noqa: BLE001  the job has ended well or not all the same; its log says so
        log.write(f"{LOST}{' '.join(str(error).split())}\n".encode())
