"""HDFS without Spark, by its web interface, for what runs on one node."""

from __future__ import annotations

import os
import xml.etree.ElementTree as Xml
from pathlib import Path
from typing import Any

from muster_node.hdfs.folder import Folder
from muster_node.hdfs.webhdfs import Hdfs
from muster_node.sets import STAGED_MANIFEST, Manifest

ADDRESS, COPIES = "dfs.namenode.http-address", "dfs.replication"
USER = "hadoop"
INSTEAD = "MUSTER_FOLDER"
"""Names, on a machine at another provider than the master, the folder that has the sets in place of HDFS."""


def instead() -> str:
    """Return the folder that stands for HDFS on this machine, '' where there is HDFS."""
    return os.environ.get(INSTEAD, "")


def namenode() -> str:
    """Return `host:port` of the NameNode's web interface, '' on a machine that has a folder instead.

    Ends the job with a line where there is neither.
    """
    return "" if instead() else setting(ADDRESS)


def require() -> None:
    """End the job with a line where a folder of the machine stands for HDFS."""
    if instead():
        raise SystemExit(
            "This machine is at another provider than the master and has no HDFS, which the job reads: "
            "submit it without --on, or with --on a group at the master's provider."
        )


def copies() -> int:
    """Return how many copies of each file there are."""
    return 1 if instead() else int(setting(COPIES))


def setting(name: str) -> str:
    """Return one of Hadoop's settings on this node. Ends the job with a line where there is none."""
    folder = Path(os.environ.get("HADOOP_CONF_DIR", "/etc/hadoop"))
    for site in sorted(folder.glob("*.xml")):
        for each in Xml.parse(site).iter("property"):  # noqa: S314  root wrote it
            if each.findtext("name") == name:
                return str(each.findtext("value"))
    raise SystemExit(f"{folder} names no {name}: this node has no HDFS; run the job on the master")


def client(address: str) -> Hdfs | Folder:
    """Return the client that writes, renames and removes. `address`: see `namenode`."""
    return Hdfs(f"http://{address}", USER) if address else Folder(Path(instead()))


def files(address: str) -> Any:  # noqa: ANN401  fsspec has no types
    """Return the file system whose files can be read from any place on, as Parquet is."""
    import fsspec

    if not address:
        return fsspec.filesystem("dir", path=instead(), fs=fsspec.filesystem("file"))
    host, _, port = address.rpartition(":")
    return fsspec.filesystem("webhdfs", host=host, port=int(port), user=USER)


def manifest(hdfs: Hdfs | Folder, folder: str) -> Manifest:
    """Return what is written about the set in a folder. Ends the job with a line when it is not there."""
    text = hdfs.read(f"{folder}/{STAGED_MANIFEST}")
    if text is None:
        raise SystemExit(not_staged(folder))
    return Manifest.from_json(text)


def not_staged(folder: str) -> str:
    """Return what to say when a set is not there."""
    size = folder.rpartition("_")[2]
    return (
        f"There is no {folder}: stage this size with "
        f"`ansible-playbook main.yml -e IMAGE_SIZE={size}`, then submit again."
    )
