"""HDFS as jobs without Spark find it."""

from __future__ import annotations

import hadoop
import prepared
import pytest

from muster_node.hdfs.folder import Folder
from muster_node.sets import STAGED_MANIFEST, Manifest

SITE = """\
<?xml version="1.0"?>
<configuration><property><name>dfs.replication</name><value>2</value></property>
<property><name>dfs.namenode.http-address</name><value>retina-master:9870</value></property></configuration>
"""


def test_hadoops_settings_name_the_namenode(tmp_path, monkeypatch):
    monkeypatch.setenv("HADOOP_CONF_DIR", str(tmp_path))
    (tmp_path / "hdfs-site.xml").write_text(SITE)
    assert hadoop.namenode() == "retina-master:9870"


@pytest.mark.parametrize("site", ["", "<configuration/>"])
def test_a_node_without_hdfs_is_told_in_a_line(tmp_path, monkeypatch, site: str):
    monkeypatch.setenv("HADOOP_CONF_DIR", str(tmp_path))
    if site:
        (tmp_path / "hdfs-site.xml").write_text(site)
    with pytest.raises(SystemExit, match="this node has no HDFS; run the job on the master"):
        hadoop.namenode()


def test_a_set_is_described_or_its_staging_is(tmp_path):
    files = Folder(tmp_path)
    with pytest.raises(SystemExit, match=r"There is no /datasets/a/train_64: .* -e IMAGE_SIZE=64"):
        hadoop.manifest(files, "/datasets/a/train_64")
    (tmp_path / "train_64").mkdir()
    (tmp_path / "train_64" / STAGED_MANIFEST).write_text(Manifest(rows=7).to_json())
    assert hadoop.manifest(files, "/train_64").rows == 7


def test_how_many_copies_there_are(tmp_path, monkeypatch):
    monkeypatch.setenv("HADOOP_CONF_DIR", str(tmp_path))
    (tmp_path / "hdfs-site.xml").write_text(SITE)
    assert hadoop.copies() == 2


def test_a_folder_stands_for_hdfs_on_a_machine_elsewhere(tmp_path, monkeypatch):
    """Sets are read from any place on, as Parquet is; what goes through Spark ends with a line before it begins."""
    monkeypatch.setenv("MUSTER_FOLDER", str(tmp_path))
    home = tmp_path / "datasets" / "a" / "train_64"
    home.mkdir(parents=True)
    (home / "part-0.parquet").write_bytes(b"0123456789")
    (home / STAGED_MANIFEST).write_text(Manifest(rows=7).to_json())
    address = hadoop.namenode()
    assert hadoop.manifest(hadoop.client(address), "/datasets/a/train_64").rows == 7
    files = hadoop.files(address)
    (path,) = files.glob("/datasets/a/train_64/*.parquet")
    with files.open(path, "rb") as part:
        part.seek(4)
        assert part.read(2) == b"45"
    assert hadoop.copies() == 1
    with (
        pytest.raises(SystemExit, match="has no HDFS, which the job reads: submit it without --on"),
        prepared.session("a job"),
    ):
        raise AssertionError("Spark was begun")
