"""Which work there is, and how it is dealt over the cluster: asked of the sources once, by the driver."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from muster_node.ingest import members, sample, zips
from muster_node.ingest.lists import Listed
from muster_node.ingest.parts import Found, Joined, Reach
from muster_node.ingest.pieces import AnyPiece, CopyPiece, Lane, StreamPiece, UrlPiece, ZipPiece
from muster_node.ingest.request import Archive, BadSource, Request

PIECE_BYTES = 8 << 20
PIECE_MEMBERS = 2000
PIECE_URLS = 100
EXTRA = 64
"""Bytes that a member's header may have more than its directory tells."""


@dataclass
class Directory:
    """What an archive's directory says: members that are images, what is left aside, the labels' file.

    `digest`: of all of it, with the checksums of all members.
    """

    images: list[zips.Member] = field(default_factory=list)
    aside: list[tuple[str, str]] = field(default_factory=list)
    table: zips.Member | None = None
    digest: str = ""


def look(reach: Reach, archive: Archive) -> tuple[Found, ...]:
    """Ask for all parts of an archive. Raises BadSource, which names all that are missing."""
    found, wrong = [], []
    for part in archive.parts:
        try:
            found.append(reach.look(part))
        except BadSource as error:
            wrong.append(str(error))
    if wrong:
        raise BadSource("; ".join(wrong))
    return tuple(found)


def read_directory(reach: Reach, archive: Archive, found: Sequence[Found], inside: str) -> Directory | None:
    """Return what a zip archive has, None when it is another kind of archive, or must be read in one go.

    Args:
        reach: the way to its parts.
        archive: which one.
        found: its parts.
        inside: the labels' file, see `members.is_table`.

    Raises:
        BadSource: it is a zip archive, and not whole or not in order.
    """
    if not all(each.ranges for each in found) or archive.digest:
        return None
    try:
        listed, _ = zips.directory(Joined(reach, found))
    except zips.NoZip as problem:
        zips.require_end(reach, found, problem)
        return None
    zips.require_in_order(reach, found, listed)
    if len(listed) > members.MOST_FILES:
        raise BadSource(f"{archive.name}: it has {len(listed):,} files")
    made = judge(listed, inside)
    size = sum(each.size for each in found)
    if sum(member.size for member in made.images) > members.HARMLESS + members.RATIO * size:
        raise BadSource(f"{archive.name}: it becomes more than {members.RATIO} times as large")
    return made


def judge(listed: Sequence[zips.Member], inside: str) -> Directory:
    """Sort the members of a directory into what is taken and what is left aside."""
    made, seen = Directory(digest=_digest(listed)), set()
    for member in listed:
        name = members.clean(member.name)
        table = members.is_table(name, inside)
        most = members.LARGEST_TABLE if table else members.LARGEST
        why = members.refusal(member.name) or member.unusual
        why = why or members.too_large(max(member.size, member.packed), member.packed, most)
        if not why and name in seen:
            why = members.SECOND
        if not why and table and made.table:
            why = "a second file of labels"
        if not why and not table and not members.is_image(name):
            why = members.NO_IMAGE
        if why:
            made.aside.append((member.name, why))
        elif table:
            made.table = member
        else:
            made.images.append(member)
        seen.add(name)
    return made


def _digest(listed: Sequence[zips.Member]) -> str:
    made = hashlib.sha256()
    for member in listed:
        made.update(repr(member).encode(errors="backslashreplace"))
    return made.hexdigest()


def zip_pieces(number: int, images: Sequence[zips.Member], found: Sequence[Found]) -> list[ZipPiece]:
    """Cut a zip archive into pieces of about PIECE_BYTES; where parts have checksums, into its parts.

    Members that reach over the end of a part that has one are pieces of their own.
    """
    if not any(each.part.digest for each in found):
        return [
            ZipPiece(f"a{number}-{index:06d}", number, run, run[0].offset, _end(run[-1]))
            for index, run in enumerate(_runs(images))
        ]
    pieces, begin = [], 0
    for index, each in enumerate(found):
        end = begin + each.size
        mine = tuple(member for member in images if begin <= member.offset < end)
        inner = tuple(member for member in mine if _end(member) <= end)
        pieces.append(ZipPiece(f"a{number}-{index:06d}", number, inner, begin, end, whole=True))
        over = tuple(member for member in mine if _end(member) > end)
        if over:
            pieces.append(ZipPiece(f"a{number}-{index:06d}-over", number, over, over[0].offset, end))
        begin = end
    return pieces


def _runs(images: Sequence[zips.Member]) -> Iterator[tuple[zips.Member, ...]]:
    run: list[zips.Member] = []
    for member in images:
        if run and (_end(member) - run[0].offset > PIECE_BYTES or len(run) == PIECE_MEMBERS):
            yield tuple(run)
            run = []
        run.append(member)
    if run:
        yield tuple(run)


def _end(member: zips.Member) -> int:
    """Return a place that a member does not reach beyond, as far as its directory tells."""
    return (
        member.offset
        + zips.HEADER.size
        + 2 * len(member.name.encode(errors="replace"))
        + EXTRA
        + member.packed
    )


def drawn(names: Collection[str], labels: Mapping[str, str], request: Request) -> frozenset[str]:
    """Return the names that the sample has, all when none is asked for."""
    if request.sample >= 1:
        return frozenset(names)
    return sample.draw(names, labels, request.sample, request.seed)


def stream_piece(number: int) -> StreamPiece:
    """Return the piece that an archive is which must be read in one go."""
    return StreamPiece(f"a{number}", number)


def url_pieces(images: Sequence[Listed], name: str) -> list[UrlPiece]:
    """Cut a list into pieces. `name` begins theirs."""
    return [
        UrlPiece(f"{name}-{index:06d}", tuple(images[begin : begin + PIECE_URLS]))
        for index, begin in enumerate(range(0, len(images), PIECE_URLS))
    ]


def copy_pieces(objects: Sequence[tuple[str, str, int]]) -> list[CopyPiece]:
    """Cut objects of another store (key, name, bytes) into pieces."""
    pieces: list[CopyPiece] = []
    run: list[tuple[str, str, int]] = []
    for each in [*objects, None]:
        full = sum(size for _, _, size in run) > PIECE_BYTES or len(run) == PIECE_MEMBERS
        if run and (each is None or full):
            size = sum(size for _, _, size in run)
            pieces.append(CopyPiece(f"c-{len(pieces):06d}", tuple((key, name) for key, name, _ in run), size))
            run = []
        if each is not None:
            run.append(each)
    return pieces


def lanes(pieces: Sequence[AnyPiece], cores: int, per_host: int) -> list[Lane]:
    """Deal pieces over lanes: one each, but of the web as many lanes as one host bears in all.

    Args:
        pieces: the work.
        cores: of the cluster.
        per_host: connections that all lanes together may have to one host.
    """
    web = [piece for piece in pieces if isinstance(piece, UrlPiece)]
    other = [Lane((piece,)) for piece in pieces if not isinstance(piece, UrlPiece)]
    count = min(max(cores, 1), per_host, len(web))
    return other + [Lane(tuple(web[number::count]), per_host // count) for number in range(count)]


def total_units(pieces: Sequence[AnyPiece], found: Sequence[Sequence[Found]]) -> int:
    """Return what the units of all pieces will add up to, 0 = unknown: bytes, or images of the web."""
    units = 0
    for piece in pieces:
        if isinstance(piece, ZipPiece):
            units += piece.end - piece.start
        elif isinstance(piece, StreamPiece):
            sizes = [each.size for each in found[piece.archive]]
            if -1 in sizes:
                return 0
            units += sum(sizes)
        else:
            units += len(piece.images) if isinstance(piece, UrlPiece) else piece.bytes
    return units
