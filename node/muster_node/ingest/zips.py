"""Zip archives of which any range can be read: the directory first, then members from anywhere."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from muster_node.ingest.parts import Found, Joined, Reach
from muster_node.ingest.request import BadSource

STORED, DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
ENCRYPTED = 1
UTF8 = 0x800
LOCAL = b"PK\x03\x04"
SPLIT = b"PK\x07\x08"
"""Begins the first part of an archive that was split by a zip program."""
END = b"PK\x05\x06"
HEADER = struct.Struct("<4s5H3I2H")
"""Of a member: mark, …, bytes of the name, bytes of the extra field."""
LOOK_AHEAD = 1 << 20
TAIL = 66_000
"""Bytes at the end of an archive in which its end record begins."""


class NoZip(Exception):
    """These are not the bytes of a zip archive."""


@dataclass(frozen=True)
class Member:
    """A file in a zip archive: where its header begins, its bytes there and unpacked.

    `unusual`: why it cannot be unpacked here ('' = it can): a link, encrypted, packed in a rare way.
    """

    name: str
    offset: int
    packed: int
    size: int
    crc: int
    method: int
    unusual: str = ""


def directory(stream: Joined) -> tuple[list[Member], int]:
    """Return the files of an archive in the order of their places, and the place where they end.

    Raises NoZip: it is none, or cut; BadSource: it cannot be read.
    """
    try:
        with zipfile.ZipFile(io.BufferedReader(stream, LOOK_AHEAD)) as archive:
            files = [_member(info) for info in archive.infolist() if not info.is_dir()]
            members = sorted(files, key=lambda member: member.offset)
            if members and members[0].offset < 0:
                raise NoZip(f"{-members[0].offset:,} bytes are missing")
            return members, archive.start_dir
    except (zipfile.BadZipFile, EOFError, ValueError, struct.error, NotImplementedError) as error:
        raise NoZip(str(error)) from error


def _member(info: zipfile.ZipInfo) -> Member:
    unusual = ""
    if info.external_attr >> 28 not in (0, 8):
        unusual = "a link or a device"
    elif info.flag_bits & ENCRYPTED:
        unusual = "encrypted"
    elif info.compress_type not in (STORED, DEFLATED):
        unusual = f"packed with method {info.compress_type}, which is not read here"
    return Member(
        _name(info), info.header_offset, info.compress_size, info.file_size, info.CRC, info.compress_type,
        unusual,
    )  # fmt: skip


def _name(info: zipfile.ZipInfo) -> str:
    """Return a member's name: macOS writes UTF-8 without saying so."""
    if info.flag_bits & UTF8:
        return info.filename
    try:
        return info.orig_filename.encode("cp437").decode()
    except UnicodeError:
        return info.filename


def read(stream: Joined, member: Member) -> bytes:
    """Return a member's content, checked. Raises BadSource."""
    stream.seek(member.offset)
    head = _exactly(stream, HEADER.size)
    fields = HEADER.unpack(head)
    if fields[0] != LOCAL:
        raise BadSource(f"{stream.part_at(member.offset)} does not hold what belongs there ({member.name})")
    _exactly(stream, fields[-2] + fields[-1])
    packed = _exactly(stream, member.packed)
    try:
        content = packed if member.method == STORED else _inflate(packed, member.size)
    except zlib.error as error:
        raise _damaged(stream, member, str(error)) from error
    if len(content) != member.size or zlib.crc32(content) != member.crc:
        raise _damaged(stream, member, "its checksum differs")
    return content


def _damaged(stream: Joined, member: Member, why: str) -> BadSource:
    where = stream.parts_between(member.offset, member.offset + HEADER.size + member.packed)
    order = "; are the parts in their order?" if " to " in where else ""
    return BadSource(f"{where}: {member.name} is damaged ({why}){order}")


def _inflate(packed: bytes, size: int) -> bytes:
    """Unpack, at most one byte more than was said."""
    return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, size + 1)


def _exactly(stream: Joined, length: int) -> bytes:
    content = bytearray()
    while len(content) < length and (block := stream.read(length - len(content))):
        content += block
    if len(content) < length:
        raise BadSource(f"{stream.part} ends too early")
    return bytes(content)


def require_in_order(reach: Reach, found: Sequence[Found], members: Sequence[Member]) -> None:
    """Raise BadSource when the first member that begins in a part is not there: the part is another one."""
    stream = Joined(reach, found)
    begin = 0
    for each in found:
        first = next((member for member in members if begin <= member.offset < begin + each.size), None)
        begin += each.size
        if first is None or first.unusual:
            continue
        stream.seek(first.offset)
        name = _exactly(stream, HEADER.size + len(first.name.encode()))
        if not name.startswith(LOCAL):
            raise BadSource(
                f"{each.part.name} does not hold what belongs there ({first.name}): "
                "is it truncated, or are the parts in another order?"
            )


def require_end(reach: Reach, found: Sequence[Found], problem: NoZip) -> None:
    """Raise BadSource when parts do not make a zip archive although they are of one; say which is wrong.

    Args:
        reach: the way to the parts.
        found: the parts.
        problem: what reading them as one has said.
    """
    if not _at(reach, found[0], 0, 4).startswith((LOCAL, END, SPLIT)):
        ends = [each for each in found if _ends(reach, each)]
        if not ends:
            return  # something else than a zip archive
        raise BadSource(
            f"{found[0].part.name} does not begin a zip archive: the parts are not in their order"
        )
    ends = [each for each in found if _ends(reach, each)]
    if ends == [found[-1]]:
        odd = _odd_size(found)
        what = (
            f"{odd.part.name} is {odd.size:,} bytes" if odd else f"a part is missing or truncated ({problem})"
        )
        more = f", the others are {found[0].size:,}: it is truncated" if odd else ""
        raise BadSource(f"the parts of {found[0].part.name} are not whole: {what}{more}")
    if ends:
        raise BadSource(
            f"{ends[0].part.name} ends the zip archive, and it is not the last part: "
            "they are not in their order"
        )
    raise BadSource(
        f"{found[-1].part.name} does not end a zip archive: it is truncated, or parts are missing"
    )


def _odd_size(found: Sequence[Found]) -> Found | None:
    """Return the part, but the last, that is smaller than the others, None when all are of one size."""
    largest = max(each.size for each in found)
    return next((each for each in found[:-1] if each.size < largest), None)


def _ends(reach: Reach, found: Found) -> bool:
    return END in _at(reach, found, max(found.size - TAIL, 0), TAIL)


def _at(reach: Reach, found: Found, start: int, length: int) -> bytes:
    stream = Joined(reach, [found])
    stream.seek(start)
    content = bytearray()
    while len(content) < length and (block := stream.read(length - len(content))):
        content += block
    stream.close()
    return bytes(content)
