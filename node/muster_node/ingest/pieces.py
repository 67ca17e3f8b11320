"""Pieces of work: what one of Spark's tasks takes in, and writes down once it is in the store."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from muster_node.ingest import members, sample, streams, web, zips
from muster_node.ingest.deposit import Deposit
from muster_node.ingest.fetch import Fetcher
from muster_node.ingest.form import Form
from muster_node.ingest.journal import Journal, Piece, patiently
from muster_node.ingest.lists import Listed
from muster_node.ingest.parts import Found, Joined, Reach
from muster_node.ingest.request import BadSource, Request, WrongDigest
from muster_node.ingest.web import Unfetched
from muster_node.stores.base import NotFound, Settings, StoreError
from muster_node.stores.open import open_store

SEVEN = b"7z\xbc\xaf"
STREAM_BYTES = 32 << 20
"""Bytes of images after which a stream's work is written down."""


@dataclass(frozen=True)
class Task:
    """What all pieces have in common.

    `found`: the parts of each archive; `digest`: what the journal goes by; `other`: the store to copy from;
    `use`: the digest of what is made of the images.
    """

    request: Request
    digest: str
    settings: Settings
    found: tuple[tuple[Found, ...], ...] = ()
    other: Settings | None = None
    use: str = ""

    @property
    def form(self) -> Form:
        """What becomes of each image."""
        return Form(self.request.size, self.request.quality)

    def journal(self) -> Journal:
        """Return the journal, over a connection of its own."""
        return Journal(open_store(self.settings), self.request.dataset, self.digest)

    def reach(self) -> Reach:
        """Return the way to the parts."""
        return Reach(web.session(self.request.hosts), open_store(self.settings))


@dataclass(frozen=True)
class ZipPiece:
    """Members of a zip archive in the order of their places.

    `whole`: from `start` to `end` every byte is read, so that the checksum of a part can be compared.
    """

    name: str
    archive: int
    members: tuple[zips.Member, ...]
    start: int = 0
    end: int = 0
    whole: bool = False

    def work(self, task: Task) -> None:
        """Take them in. Raises BadSource, StoreError."""
        found = task.found[self.archive]
        stream = Joined(task.reach(), found, skipped=self.end if self.whole else zips.LOOK_AHEAD)
        stream.seek(self.start)
        with Deposit(task.settings, task.request.dataset, self.name, task.form) as deposit:
            for member in self.members:
                deposit.image(members.clean(member.name), zips.read(stream, member))
            while self.whole and stream.tell() < self.end and stream.read(web.BLOCK):
                pass
        stream.close()
        deposit.piece.units = self.end - self.start
        task.journal().write(deposit.piece)


@dataclass(frozen=True)
class StreamPiece:
    """A whole archive, read from its beginning; its work is written down every STREAM_BYTES."""

    name: str
    archive: int

    def work(self, task: Task) -> None:
        """Take it in, or what is left of it. Raises BadSource, StoreError."""
        journal = task.journal()
        done = list(journal.every(f"{self.name}-"))
        stream, seven = self._open(task)
        from_start = task.request.archives[self.archive].checked or not stream.seekable()
        place = 0 if from_start else max((each.place for each in done), default=0)
        entries = streams.entries(stream, place, sought=seven)
        try:
            self._take_all(task, entries, stream, done, _Seen.of(done, at_place=place > 0))
        except WrongDigest:
            for piece in journal.every(f"{self.name}-"):  # nobody knows what of it was right
                journal.write(Piece(piece.name))
            raise

    def _open(self, task: Task) -> tuple[Joined, bool]:
        """Return the stream, and whether it is a 7z archive. Raises BadSource: such a one cannot be read."""
        archive, found = task.request.archives[self.archive], task.found[self.archive]
        first = Joined(task.reach(), found)
        seven = first.read(len(SEVEN)) == SEVEN
        first.close()
        stream = Joined(task.reach(), found, archive.digest)
        if seven and archive.checked:
            raise BadSource(f"{archive.name}: a 7z archive has checksums of its own; leave this one out")
        if seven and not stream.seekable():
            raise BadSource(f"{archive.name}: a 7z archive needs a server that gives ranges")
        return stream, seven

    def _take_all(
        self,
        task: Task,
        entries: Iterator[streams.Entry],
        stream: Joined,
        done: Sequence[Piece],
        seen: _Seen,
    ) -> None:
        units = sum(piece.units for piece in done)
        entry = next(entries, None)
        for number in itertools.count(len(done)):
            name = f"{self.name}-{number:06d}"
            with Deposit(task.settings, task.request.dataset, name, task.form) as deposit:
                entry = _take(entry, entries, deposit, seen, task)
            piece = deposit.piece
            piece.units, units = max(stream.tell() - units, 0), max(units, stream.tell())
            piece.last, piece.place = entry is None, entry.place if entry else 0
            task.journal().write(piece)
            if piece.last:
                return


@dataclass
class _Seen:
    """Files of a stream that runs `before` have written down, and those that went by `now`, by name.

    `told`: what was said of files aside; `table`: the labels' file went by.
    """

    before: set[str]
    now: set[str]
    told: set[tuple[str, str]]
    table: bool

    @classmethod
    def of(cls, done: Sequence[Piece], *, at_place: bool) -> _Seen:
        """Return what is known of a stream. `at_place`: it is taken up behind all that is written down."""
        names = {name for piece in done for name in piece.seen}
        told = {(name, why) for piece in done for name, why in piece.aside}
        return cls(names, set(names) if at_place else set(), told, at_place and any(p.table for p in done))


@dataclass(frozen=True)
class UrlPiece:
    """Images from the web. `again`: what failed before, for the last time."""

    name: str
    images: tuple[Listed, ...]

    def work(self, task: Task, fetcher: Fetcher) -> None:
        """Take them in. Raises StoreError."""
        with Deposit(task.settings, task.request.dataset, self.name, task.form) as deposit:
            for image, content in fetcher.fetch(self.images):
                if isinstance(content, Unfetched):
                    deposit.failed(image.name, image.urls[-1], str(content), lasting=content.lasting)
                elif kind := members.kind_of(content):
                    suffix = ".jpg" if task.form.asked else kind
                    deposit.image(image.name + suffix, content)
                else:
                    deposit.failed(image.name, image.urls[-1], "what comes is no image", lasting=True)
        deposit.piece.units = len(self.images)
        task.journal().write(deposit.piece)


@dataclass(frozen=True)
class CopyPiece:
    """Objects of another store: (key, name of the image)."""

    name: str
    objects: tuple[tuple[str, str], ...]
    bytes: int = 0

    def work(self, task: Task) -> None:
        """Take them in. Raises StoreError."""
        assert task.other is not None  # noqa: S101  (for the type checker)
        other = open_store(task.other)
        with Deposit(task.settings, task.request.dataset, self.name, task.form) as deposit:
            for key, name in self.objects:
                try:
                    content = patiently(partial(other.get, key))
                except NotFound:  # since it was listed
                    deposit.aside(key, "it is no more in the container")
                    continue
                deposit.image(name, content)
        deposit.piece.units = self.bytes
        task.journal().write(deposit.piece)


AnyPiece = ZipPiece | StreamPiece | UrlPiece | CopyPiece


@dataclass(frozen=True)
class Lane:
    """Pieces that are done one after another; `per_host`: connections to one host that it may have."""

    pieces: tuple[AnyPiece, ...] = field(default=())
    per_host: int = 1


def work(lane: Lane, task: Task) -> list[str]:
    """Do the pieces of a lane that are not done; return what is wrong, with sources or the store."""
    wrong: list[str] = []
    journal = task.journal()
    with Fetcher(task.request.hosts, lane.per_host) as fetcher:
        for piece in lane.pieces:
            try:
                if is_done(journal, piece):
                    continue
                if isinstance(piece, UrlPiece):
                    piece.work(task, fetcher)
                else:
                    piece.work(task)
            except (BadSource, StoreError) as error:
                wrong.append(str(error))
    return wrong


def is_done(journal: Journal, piece: AnyPiece) -> bool:
    """Whether a piece is written down. Raises StoreError."""
    if isinstance(piece, StreamPiece):
        return any(part.last for part in journal.every(f"{piece.name}-"))
    return journal.read(piece.name) is not None


def _take(
    entry: streams.Entry | None,
    entries: Iterator[streams.Entry],
    deposit: Deposit,
    seen: _Seen,
    task: Task,
) -> streams.Entry | None:
    """Take entries in, `entry` first, until it is time to write that down; return the next one, if any."""
    while entry is not None and deposit.piece.raw_bytes <= STREAM_BYTES:
        name = members.clean(entry.name) or entry.name
        if name in seen.now:
            if (entry.name, members.SECOND) not in seen.told:
                deposit.aside(entry.name, members.SECOND)
        elif not seen.before & {name, entry.name}:
            _take_one(entry, deposit, task, seen)
        seen.now.add(name)
        entry = next(entries, None)
    return entry


def _take_one(entry: streams.Entry, deposit: Deposit, task: Task, seen: _Seen) -> None:
    request, name = task.request, members.clean(entry.name)
    if members.is_table(name, request.labels.inside) and not seen.table:
        if why := members.too_large(entry.size, most=members.LARGEST_TABLE):
            raise BadSource(f"{name}: {why}")
        deposit.table(task.journal().table_key(deposit.piece.name), entry.read(members.LARGEST_TABLE))
        seen.table = True
        return
    why = members.refusal(entry.name) or entry.unusual or members.too_large(entry.size)
    if why or not members.is_image(name):
        deposit.aside(entry.name, why or members.NO_IMAGE)
    elif request.sample < 1 and sample.place(name, request.seed) >= request.sample:
        deposit.piece.left.append(name)
    else:
        deposit.image(name, entry.read(entry.size if entry.size >= 0 else members.LARGEST))
