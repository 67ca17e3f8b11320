"""What is written into HDFS, and by whom: pure rules, the same on every node.

The layout follows from the manifest alone, so that any node can tell it, and a run with other nodes goes on
where the last one stopped. Who writes what is dealt by bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from muster_node.sets import SetFile

COMING, RANGES = "_coming", "_ranges"
"""Folders beside a set's files: what is being written, and ranges that wait. Spark reads neither."""
RANGE_BYTES = 64 << 20
"""What is larger is fetched in ranges of this size, by several nodes: half of HDFS's block."""
SMALL_BYTES = 1 << 20
PACK_BYTES = 16 << 20
MANY = 128
"""Small objects are packed where there are more of them: each file costs memory and time."""
JOINABLE = (".csv", ".csv.gz")
"""Of such files several make one: lines follow on lines, and so may what gzip has packed apart."""


@dataclass(frozen=True)
class StagedFile:
    """A file in HDFS: one object, or several that follow on each other."""

    name: str
    members: tuple[SetFile, ...]

    @property
    def bytes(self) -> int:
        """Its length."""
        return sum(member.bytes for member in self.members)

    @property
    def rows(self) -> int:
        """The rows in it."""
        return sum(member.rows for member in self.members)


@dataclass(frozen=True)
class Piece:
    """What one node writes in one go: a whole file, or the range of it that begins at `start`."""

    file: StagedFile
    start: int
    length: int

    @property
    def whole(self) -> bool:
        """Whether it is all of its file."""
        return self.length == self.file.bytes

    @property
    def name(self) -> str:
        """The file's name, or the range's."""
        return self.file.name if self.whole else f"{self.file.name}.{self.start:015d}"


@dataclass(frozen=True)
class Job:
    """A piece of a set, and the folder that the set's files belong into now."""

    set: str
    folder: str
    piece: Piece

    @property
    def coming(self) -> str:
        """Where it is written."""
        return f"{self.folder}/{COMING}/{self.piece.name}"

    @property
    def place(self) -> str:
        """Where it lies once it is there."""
        return f"{self.folder}/{self.piece.name if self.piece.whole else f'{RANGES}/{self.piece.name}'}"


def staged_files(objects: Sequence[SetFile]) -> list[StagedFile]:
    """Return the files that a manifest's objects become, in order: as they are, or packed where many."""
    small = [item for item in objects if _is_small(item)]
    if len(small) <= MANY:
        return [StagedFile(item.name, (item,)) for item in objects]
    files = []
    for joined, run in groupby(objects, key=lambda item: _suffix(item) if _is_small(item) else ""):
        if joined:
            files += [_packed(members, joined) for members in _packs(run)]
        else:
            files += [StagedFile(item.name, (item,)) for item in run]
    return files


def pieces(files: Iterable[StagedFile], *, cut: bool) -> list[Piece]:
    """Return what is written in one go each; large objects in ranges when they may be cut."""
    found = []
    for file in files:
        step = RANGE_BYTES if cut and len(file.members) == 1 and file.bytes > RANGE_BYTES else file.bytes
        starts = range(0, file.bytes, step) if step else (0,)
        found += [Piece(file, start, min(step, file.bytes - start)) for start in starts]
    return found


def deal(found: Sequence[Job], count: int) -> list[list[Job]]:
    """Deal work to `count` nodes by bytes: the largest first, each to who has least."""
    shares: list[list[Job]] = [[] for _ in range(count)]
    loads = [0] * count
    for job in sorted(found, key=lambda job: (-job.piece.length, job.set, job.piece.name)):
        least = loads.index(min(loads))
        shares[least].append(job)
        loads[least] += job.piece.length
    return shares


def _is_small(item: SetFile) -> bool:
    return item.bytes < SMALL_BYTES and bool(_suffix(item))


def _suffix(item: SetFile) -> str:
    """Return the ending of an object that may be joined with others of it, else ''."""
    return next((suffix for suffix in reversed(JOINABLE) if item.name.endswith(suffix)), "")


def _packs(run: Iterable[SetFile]) -> Iterator[list[SetFile]]:
    members: list[SetFile] = []
    size = 0
    for item in run:
        if members and size + item.bytes > PACK_BYTES:
            yield members
            members, size = [], 0
        members.append(item)
        size += item.bytes
    yield members


def _packed(members: Sequence[SetFile], suffix: str) -> StagedFile:
    first, last = (members[at].name.removesuffix(suffix) for at in (0, -1))
    name = members[0].name if len(members) == 1 else f"{first}_to_{last}{suffix}"
    return StagedFile(name, tuple(members))
