"""What a data set is made of, as the job `ingest` gets it: a JSON file that ships with the job."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import urlsplit

STORE = "store:"
"""Begins the place of an archive that lies in the cluster's own object store."""
REQUEST, LIST, TABLE = "description.json", "list.json", "labels.csv"
"""Files that ship with the job: the request; a list of addresses and labels, when they lay with the user."""
KEYS = ("INGEST_ACCESS_KEY", "INGEST_SECRET_KEY")
"""Secrets of the job: the keys of another store."""


class BadSource(Exception):
    """A source is not there, or not what it should be; the text is one line that names it."""


class WrongDigest(BadSource):
    """A checksum is not the one that was given."""


@dataclass(frozen=True)
class Part:
    """One file: an http(s) address or `store:KEY`, and its checksum (sha256 or md5 in hex, '' = none)."""

    where: str
    digest: str = ""

    @property
    def name(self) -> str:
        """What it is called in messages; never what an address has after its path, which may be a secret."""
        path = self.where.removeprefix(STORE) if self.where.startswith(STORE) else urlsplit(self.where).path
        return path.rstrip("/").rpartition("/")[2] or urlsplit(self.where).netloc


@dataclass(frozen=True)
class Archive:
    """An archive: its parts in their order, and the checksum of the whole."""

    parts: tuple[Part, ...]
    digest: str = ""

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return self.parts[0].name

    @property
    def checked(self) -> bool:
        """Whether there are checksums to compare."""
        return bool(self.digest or any(part.digest for part in self.parts))


@dataclass(frozen=True)
class UrlList:
    """A JSON list of images' addresses: where it is ('' = it ships with the job), most connections a host."""

    where: str = ""
    per_host: int = 8


@dataclass(frozen=True)
class Container:
    """A container of another store; its keys come as secrets of the job. See `muster_node.stores`."""

    kind: str
    endpoint: str
    container: str
    prefix: str = ""
    region: str = "us-east-1"
    virtual_host: bool = False


@dataclass(frozen=True)
class Labels:
    """Where labels are: a file that ships with the job, an address, or (`inside`) a file of the source."""

    where: str = ""
    inside: str = ""
    column: str = ""
    multi_label: bool = False
    on_bad: str = "stop"


@dataclass(frozen=True)
class Request:
    """Everything about one data set. `size`: the longest side in pixels, 0 = as it comes.

    `sample`: the share of images that is taken; `quality`: of JPEG, 0 = images stay as they are.
    """

    dataset: str
    kind: str = "plain"
    archives: tuple[Archive, ...] = ()
    urls: UrlList | None = None
    container: Container | None = None
    labels: Labels = field(default_factory=Labels)
    sample: float = 1.0
    seed: int = 2016
    size: int = 0
    quality: int = 0

    def to_json(self) -> str:
        """Return it as it ships."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str | bytes) -> Request:
        """Read what `to_json` gave. Raises ValueError, TypeError, KeyError."""
        known: dict[str, Any] = json.loads(text)
        known["archives"] = tuple(
            Archive(tuple(Part(**part) for part in each["parts"]), each["digest"])
            for each in known["archives"]
        )
        known["urls"] = UrlList(**known["urls"]) if known["urls"] else None
        known["container"] = Container(**known["container"]) if known["container"] else None
        known["labels"] = Labels(**known["labels"])
        return cls(**known)

    @property
    def hosts(self) -> frozenset[str]:
        """The hosts that the user has named; others that they lead to are looked at more closely."""
        places = [part.where for archive in self.archives for part in archive.parts]
        places += [self.urls.where] if self.urls else []
        found = (urlsplit(place).hostname for place in (*places, self.labels.where))
        return frozenset(host for host in found if host)


def essence(request: Request, sizes: Sequence[int], extra: Mapping[str, object]) -> dict[str, object]:
    """Return what decides which bytes are taken in: a change of anything else goes on with what is there.

    Args:
        request: what is asked.
        sizes: of all parts in bytes: an address may change (a signature in it), the file behind it not.
        extra: what else decides, such as an archive's directory, or the labels that a sample is drawn by.
    """
    return {
        "archives": [
            [archive.digest, *([part.name, part.digest] for part in archive.parts)]
            for archive in request.archives
        ],
        "sizes": list(sizes),
        "container": asdict(request.container) if request.container else None,
        "sample": [request.sample, request.seed if request.sample < 1 else 0],
        "form": [request.size, request.quality],
        **extra,
    }
