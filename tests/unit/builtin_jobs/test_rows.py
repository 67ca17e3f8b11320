"""Rows in the driver; those on executors are tested on a cluster."""

from __future__ import annotations

import gzip
import io
from types import SimpleNamespace

import rows


class Files:
    """A file system of Hadoop's that has some files."""

    def __init__(self, content: dict[str, bytes]) -> None:
        self.content = content

    def globStatus(self, pattern: str):  # noqa: N802  Hadoop's name
        assert pattern == "/set/part-*.csv*"
        return [
            SimpleNamespace(getPath=lambda name=name: SimpleNamespace(getName=lambda: name, name=name))
            for name in sorted(self.content)
        ]

    def open(self, path):
        return io.BytesIO(self.content[path.name])


def test_files_are_read_in_order_packed_or_not(monkeypatch):
    files = Files({"part-1.csv.gz": gzip.compress(b"1,5\n2,6\n"), "part-0.csv": b"0,4\n"})
    monkeypatch.setattr(rows, "hadoop_path", lambda _, path: path)
    monkeypatch.setattr(rows, "file_system", lambda *_: files)
    utils = SimpleNamespace(toByteArray=lambda stream: stream.read())
    commons = SimpleNamespace(commons=SimpleNamespace(io=SimpleNamespace(IOUtils=utils)))
    spark = SimpleNamespace(_jvm=SimpleNamespace(org=SimpleNamespace(apache=commons)))
    found = rows.open_rows(spark, "/set", columns=1, parts=0)
    told = []
    total = found.fold(
        lambda blocks, add: sum(int(p.sum()) for _, p in blocks) + add, lambda *_: told.append(1), 100
    )
    assert (total, told) == (115, [])
    again = found.fold(lambda blocks, _: [label for labels, _ in blocks for label in labels], lambda *_: None)
    assert again == [0, 1, 2]
