"""The beginning: what the sources have, what of it is wanted, and what of that is there already."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from muster_node import sets
from muster_node.ingest import dealing, lists, members, web, zips
from muster_node.ingest.dealing import Directory
from muster_node.ingest.ending import Ended
from muster_node.ingest.journal import Piece, digest_of, patiently
from muster_node.ingest.lists import Listed
from muster_node.ingest.parts import Found, Joined
from muster_node.ingest.pieces import AnyPiece, Task
from muster_node.ingest.progress import BYTES
from muster_node.ingest.request import KEYS, LIST, TABLE, BadSource, Container, Request, UrlList, essence
from muster_node.labels.reading import DROP, read
from muster_node.stores.base import NotFound, Settings
from muster_node.stores.open import open_store

LARGEST_LIST = 1 << 30
"""Bytes of a list of addresses."""


@dataclass(frozen=True)
class Opened:
    """What is to be done.

    `table`: the labels' file; `listed`: images of a list; `unit`: what the pieces' units are; `ended`: what
    to say when all is there already.
    """

    task: Task
    pieces: Sequence[AnyPiece] = ()
    table: bytes | None = None
    listed: Sequence[Listed] = ()
    unit: str = BYTES
    ended: Ended | None = None

    def missed(self) -> list[Listed]:
        """Return the images of a list that did not come, but may another time. Raises StoreError."""
        if not self.listed:
            return []
        pieces = list(self.task.journal().every())
        passing = {name for piece in pieces for name in piece.passing}
        passing -= {name.rpartition(".")[0] for piece in pieces for name in piece.names}
        return [image for image in self.listed if image.name in passing]

    def once_more(self, images: Sequence[Listed]) -> Opened:
        """Return what fetches these alone, in pieces that no earlier run wrote down. Raises StoreError."""
        rounds = {name.partition("-")[0] for name in self.task.journal().names() if name.startswith("v")}
        return replace(self, pieces=dealing.url_pieces(images, f"v{len(rounds):04d}"))


@dataclass
class _Sources:
    """What was found while asking the sources."""

    found: list[tuple[Found, ...]] = field(default_factory=list)
    directories: list[Directory | None] = field(default_factory=list)
    listed: list[Listed] = field(default_factory=list)
    objects: list[tuple[str, str, int]] = field(default_factory=list)
    aside: list[tuple[str, str]] = field(default_factory=list)
    table: bytes | None = None
    other: Settings | None = None


def open_sources(request: Request, here: Path) -> Opened:
    """Ask all sources what they have. Raises BadSource, StoreError.

    Args:
        request: what is asked.
        here: the folder with what ships with the job.
    """
    settings = Settings.load()
    sources = _Sources(table=_given_table(request, here))
    if request.urls:
        _read_list(request, request.urls, here, sources)
    elif request.container:
        _list_container(request, request.container, sources)
    else:
        _look_at_archives(Task(request, "", settings), sources)
    found = tuple(sources.found)
    task = Task(request, _digest(request, sources), settings, found, sources.other, _use(request, sources))
    if ended := already(task):
        return Opened(task, ended=ended)
    pieces = _deal(task, sources)
    return Opened(task, pieces, sources.table, sources.listed, "images" if request.urls else BYTES)


def already(task: Task) -> Ended | None:
    """Return what to say when this very data is there, None when none is. Raises BadSource: other data is."""
    dataset = task.request.dataset
    store = open_store(task.settings)
    try:
        patiently(lambda: store.get(sets.labels_key(dataset)))
    except NotFound:
        return None
    known: dict[str, object] = {}
    with suppress(NotFound):
        known = json.loads(patiently(lambda: store.get(sets.description_key(dataset))))
    if (known.get("digest"), known.get("use")) != (task.digest, task.use):
        same = known.get("digest") == task.digest
        other = f"{dataset}, of another kind or with other labels," if same else f"another {dataset}"
        raise BadSource(
            f"the object store has {other} already; ./muster data rm {dataset} removes it, "
            "another name keeps both"
        )
    said = f"{dataset} is in the object store already, as it is described"
    return Ended({"images": known.get("images", 0)}, [said])


def _digest(request: Request, sources: _Sources) -> str:
    sizes = [each.size for found in sources.found for each in found]
    extra: dict[str, object] = {"directories": [made.digest if made else "" for made in sources.directories]}
    if None in sources.directories:  # what is read in one go has its labels' file taken out on the way
        extra["inside"] = request.labels.inside
        extra["versions"] = [each.version for found in sources.found for each in found]
    if request.container:
        extra["objects"] = [[name, size] for _, name, size in sources.objects]
    if request.urls:
        extra["list"] = [[image.name, image.label] for image in sources.listed]
    if request.sample < 1 and sources.table:
        extra["table"] = sources.table.decode(errors="replace")
        extra["read as"] = [request.labels.column, request.labels.multi_label]
    return digest_of(essence(request, sizes, extra))


def _use(request: Request, sources: _Sources) -> str:
    """Return the digest of what is made of the images, which changes none of their bytes: kind and labels."""
    table = (sources.table or b"").decode(errors="replace")
    labels = replace(request.labels, where="")
    return digest_of({"kind": request.kind, "labels": asdict(labels), "table": table})


def _given_table(request: Request, here: Path) -> bytes | None:
    """Return the labels' file that is in no archive, None when there is none."""
    if (here / TABLE).is_file():
        return (here / TABLE).read_bytes()
    if not request.labels.where:
        return None
    return _fetched(request, request.labels.where, "the labels", members.LARGEST_TABLE)


def _fetched(request: Request, where: str, what: str, most: int) -> bytes:
    try:
        return web.whole(web.session(request.hosts), where, most)
    except web.Unfetched as error:
        raise BadSource(f"{what} cannot be fetched: {error}") from error


def _read_list(request: Request, urls: UrlList, here: Path, sources: _Sources) -> None:
    what = "the list of images"
    shipped = here / LIST
    content = shipped.read_bytes() if shipped.is_file() else _fetched(request, urls.where, what, LARGEST_LIST)
    sources.listed = lists.parse(content, what, multi_label=request.labels.multi_label)
    if sources.table is None:
        buffer = io.StringIO()
        rows = ((image.name, image.label) for image in sources.listed if image.label)
        csv.writer(buffer).writerows([("image", "label"), *rows])
        sources.table = buffer.getvalue().encode()


def _list_container(request: Request, source: Container, sources: _Sources) -> None:
    access, secret = (os.environ.get(name, "") for name in KEYS)
    sources.other = Settings(
        source.endpoint, access, secret, source.container, region=source.region, kind=source.kind,
        virtual_host=source.virtual_host,
    )  # fmt: skip
    other = open_store(sources.other)
    for key, size in other.names(source.prefix):
        name = members.clean(key.removeprefix(source.prefix).lstrip("/"))
        if sources.table is None and members.is_table(name, request.labels.inside):
            sources.table = other.get(key)
            continue
        why = members.refusal(name) or members.too_large(size)
        if why or not members.is_image(name):
            sources.aside.append((key, why or members.NO_IMAGE))
        else:
            sources.objects.append((key, name, size))
    if not sources.objects:
        raise BadSource(f"container {source.container} has no images below {source.prefix or '/'}")


def _look_at_archives(task: Task, sources: _Sources) -> None:
    reach, inside = task.reach(), task.request.labels.inside
    for archive in task.request.archives:
        found = dealing.look(reach, archive)
        made = dealing.read_directory(reach, archive, found, inside)
        sources.found.append(found)
        sources.directories.append(made)
        if made and made.table and sources.table is None:
            sources.table = zips.read(Joined(reach, found), made.table)


def _deal(task: Task, sources: _Sources) -> list[AnyPiece]:
    """Return the pieces, and write down what none of them takes in. Raises BadSource, StoreError."""
    request = task.request
    listed = {image.name: image.label for image in sources.listed}
    names = [name for _, name, _ in sources.objects]
    names += [members.clean(each.name) for made in sources.directories if made for each in made.images]
    labels = listed or _labels(names, sources.table, request)
    chosen = dealing.drawn([*listed, *names], labels, request)
    sources.listed = [image for image in sources.listed if image.name in chosen]
    pieces: list[AnyPiece] = [*dealing.url_pieces(sources.listed, "u")]
    pieces += dealing.copy_pieces([each for each in sources.objects if each[1] in chosen])
    aside = list(sources.aside)
    for number, made in enumerate(sources.directories):
        if made is None:
            pieces.append(dealing.stream_piece(number))
            continue
        aside += made.aside
        images = [each for each in made.images if members.clean(each.name) in chosen]
        pieces += dealing.zip_pieces(number, images, sources.found[number])
    left = [name for name in (*listed, *names) if name not in chosen]
    task.journal().write(Piece("0", aside=aside, left=left))
    return pieces


def _labels(names: Sequence[str], table: bytes | None, request: Request) -> Mapping[str, str]:
    """Return the labels that a sample is drawn by; what is wrong with them is said when all is there."""
    if request.sample >= 1 or not table or not names:
        return {}
    labels = request.labels
    return read(table, names, column=labels.column, multi_label=labels.multi_label, on_bad=DROP).labels
