"""HDFS without Spark, by its web interface, for what runs on one node."""

from __future__ import annotations

import os
import xml.etree.ElementTree as Xml
from pathlib import Path
from typing import Any

from muster_node.hdfs.folder import Folder
from muster_node.hdfs.webhdfs import Hdfs
from muster_node.sets import STAGED_MANIFEST, Manifest

ADDRESS = "dfs.namenode.http-address"
SITE = "hdfs-site.xml"
USER = "hadoop"


def namenode() -> str:
    """Return `host:port` of the NameNode's web interface. Ends the job with a line where there is none."""
    site = Path(os.environ.get("HADOOP_CONF_DIR", "/etc/hadoop")) / SITE
    found = Xml.parse(site).iter("property") if site.is_file() else ()  # noqa: S314  root wrote it
    for each in found:
        if each.findtext("name") == ADDRESS:
            return str(each.findtext("value"))
    raise SystemExit(f"{site} names no {ADDRESS}: this node has no HDFS; run the job on the master")


def client() -> Hdfs:
    """Return the client that writes, renames and removes."""
    return Hdfs(f"http://{namenode()}", USER)


def files(address: str) -> Any:  # noqa: ANN401  fsspec has no types
    """Return the file system whose files can be read from any place on, as Parquet is.

    `address`: see `namenode`; `file:` is this computer's own.
    """
    import fsspec

    if address == "file:":
        return fsspec.filesystem("file")
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
