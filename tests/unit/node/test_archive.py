"""Archives of strangers: what is taken in, and what is not."""

from __future__ import annotations

import io
import re
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from muster_node.archive import HEADERS, BadArchive, unpack
from provision.core.paths import PROJECT


def tar(*members: tarfile.TarInfo, **options: object) -> io.BytesIO:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", **options) as archive:  # type: ignore[call-overload]
        for member in members:
            archive.addfile(member, io.BytesIO(b"x" * member.size) if member.isreg() else None)
    stream.seek(0)
    return stream


def member(name: str, size: int = 3, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.size, made.type, made.linkname = size if kind == tarfile.REGTYPE else 0, kind, link
    return made


def take(stream: io.BytesIO, to: Path, files: int = 100, size: int = 1000) -> None:
    unpack(stream, to, most_files=files, most_bytes=size)


def test_files_and_folders_are_taken_in(tmp_path: Path) -> None:
    program, name = member("code/run.sh"), "code/naïve ☃/" + "long" * 60
    program.mode = 0o4755
    stream = tar(member("./code", kind=tarfile.DIRTYPE), program, member(name), member("empty", 0))
    take(stream, tmp_path)
    assert (tmp_path / name).read_bytes() == b"xxx"
    assert (tmp_path / "code/run.sh").stat().st_mode & 0o7700 == 0o700, "to be run, but not as another"
    assert (tmp_path / "empty").read_bytes() == b""
    assert stream.read() == b"", "nobody who sends it is cut off"


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (member("../evil"), "lies outside"),
        (member("a/../../evil"), "lies outside"),
        (member("/tmp/evil"), "lies outside"),
        (member("."), "lies outside"),
        (member("a", kind=tarfile.SYMTYPE, link="/etc/passwd"), "neither a file nor a folder"),
        (member("a", kind=tarfile.LNKTYPE, link="../evil"), "neither a file nor a folder"),
        (member("a", kind=tarfile.FIFOTYPE), "neither a file nor a folder"),
        (member("a", kind=tarfile.CHRTYPE), "neither a file nor a folder"),
        (member("a", kind=tarfile.BLKTYPE), "neither a file nor a folder"),
        (member("a", 2000), "more bytes"),
        (member("first"), "File exists"),
        (member("first/below"), "directory|exists"),
        (member("n" * 300), "too long"),
        (member("d/" * 100 + "f"), "too deep"),
    ],
)
def test_anything_else_is_refused(tmp_path: Path, bad: tarfile.TarInfo, why: str) -> None:
    inside = tmp_path / "here"
    inside.mkdir()
    with pytest.raises(BadArchive, match=why):
        take(tar(member("first"), bad), inside)
    assert [path.name for path in tmp_path.iterdir()] == ["here"]
    assert not [path for path in inside.rglob("*") if path.is_symlink()]


def test_a_link_cannot_be_made_and_then_walked_through(tmp_path: Path) -> None:
    with pytest.raises(BadArchive):
        take(tar(member("a", kind=tarfile.SYMTYPE, link=".."), member("a/evil")), tmp_path / "here")
    assert not (tmp_path / "evil").exists()


def test_what_is_taken_in_can_be_removed(tmp_path: Path) -> None:
    """However deep: a folder and those in it can come one after another."""
    members = [member("d/" * depth + "f") for depth in (99, 600, 1200, 1800)]
    with pytest.raises(BadArchive, match="too deep"):
        take(tar(*members), tmp_path / "here")
    shutil.rmtree(tmp_path / "here")


def test_counts_have_an_end(tmp_path: Path) -> None:
    with pytest.raises(BadArchive, match="more files"):
        take(tar(*(member(f"{number}", 0) for number in range(101))), tmp_path)
    (tmp_path / "b").mkdir()
    with pytest.raises(BadArchive, match="more bytes"):
        take(tar(*(member(f"{number}", 300) for number in range(4))), tmp_path / "b")


def sparse() -> io.BytesIO:
    """A file of a terabyte in some bytes, as GNU tar has them."""
    made = member("hole", 512)
    made.pax_headers = {
        "GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.name": "hole",
        "GNU.sparse.size": str(1 << 40), "GNU.sparse.map": "0,512",
    }  # fmt: skip
    return tar(made, format=tarfile.PAX_FORMAT)


def endless_header() -> io.BytesIO:
    """An extended header that says it has a gigabyte, and goes on."""
    head = tarfile.TarInfo("x")
    head.type, head.size = tarfile.XHDTYPE, 1 << 30
    return io.BytesIO(head.tobuf(tarfile.USTAR_FORMAT) + b"9" * (HEADERS + 20000))


def headers_of_headers() -> io.BytesIO:
    """Every extended header belongs to the next one."""
    head = tarfile.TarInfo("x")
    head.type, head.size = tarfile.GNUTYPE_LONGNAME, 2
    return io.BytesIO((head.tobuf(tarfile.GNU_FORMAT) + b"a\0".ljust(512, b"\0")) * 990)


def negative() -> io.BytesIO:
    content = bytearray(member("a", 3).tobuf(tarfile.GNU_FORMAT))
    content[124:136] = b"\xff" * 11 + b"\x00"
    total = sum(content[:148]) + 8 * 32 + sum(content[156:512])
    content[148:156] = b"%06o\0 " % total
    return io.BytesIO(bytes(content) + b"x" * 4096)


def tail_without_end() -> io.BytesIO:
    return io.BytesIO(tar(member("a")).getvalue() + b"\0" * (2 * HEADERS))


@pytest.mark.parametrize(
    "made",
    [
        sparse, endless_header, headers_of_headers, negative, tail_without_end,
        lambda: io.BytesIO(b"\x1b[2Jhello"), lambda: io.BytesIO(tar(member("a", 900)).getvalue()[:700]),
    ],
)  # fmt: skip
def test_what_is_no_sound_archive_is_said_in_one_line(tmp_path: Path, made: Callable[[], io.BytesIO]) -> None:
    with pytest.raises(BadArchive) as caught:
        take(made(), tmp_path)
    assert "\n" not in str(caught.value)


def test_nothing_at_all_is_no_archive(tmp_path: Path) -> None:
    with pytest.raises(BadArchive, match="no archive"):
        take(io.BytesIO(), tmp_path)


def test_there_is_no_other_way_in() -> None:
    """Python 3.11.2, which Debian 12 has, knows no filters, and `extractall` without one takes in anything."""
    sources = [path for name in ("node", "provision", "jobs") for path in (PROJECT / name).rglob("*.py")]
    assert [
        path for path in sources if re.search(r"\.extractall\(|tar\.extract\(|data_filter", path.read_text())
    ] == []
