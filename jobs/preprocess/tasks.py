"""What driver and executors of preprocessing tell each other."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from muster_node.sets import SetFile

PROGRAM = "preprocess 4"
"""Changes whenever the same images and options give other bytes."""
COPIES = 8
"""Rows of an image that is augmented: turned by 0, 90, 180 and 270 degrees, and all that mirrored."""


@dataclass(frozen=True)
class Options:
    """What decides the content of a set beside its size; a manifest records it as `made_by`.

    `kind`: what a picture is taken for, '' = what ingest was told, else plain; `multi_label` counts also when
    ingest was told so. `augment`: the training part also has each picture turned and mirrored. `masters`:
    intermediates are kept, for which more detail of a file is decoded, so that the smaller pictures differ a
    little, too.
    """

    dataset: str
    kind: Literal["plain", "eye", ""] = "plain"
    channels: int = 3
    tolerance: int = 12
    formats: Sequence[str] = ("csv", "parquet")
    augment: bool = False
    masters: bool = False
    holdout_percent: int = 20
    seed: int = 2016
    multi_label: bool = False
    subject: str = ""
    sample: float = 1.0
    balance: str = "none"


@dataclass(frozen=True)
class Image:
    """One image: its name, its subject, and where it lies in the store.

    `label`: number of its class as text, of several classes the numbers, joined ('' = it has none);
    `pack`: the archive that it is in ('' = none), at the byte `start` of it where that is known (else -1);
    `bytes`: its size, 0 where that is not known. Of one that was prepared before, `notes` are what was said
    of it, and `reason` why it was left out.
    """

    name: str
    label: str = ""
    subject: str = ""
    pack: str = ""
    start: int = -1
    bytes: int = 0
    notes: tuple[str, ...] = ()
    reason: str = ""

    @property
    def first(self) -> str:
        """What its row begins with: the label, or the whole name, which no other image has."""
        return self.label or self.name


@dataclass(frozen=True)
class Task:
    """One part to be made at some sizes: which set, its number, its images."""

    part: str
    number: int
    sizes: tuple[int, ...]
    images: tuple[Image, ...]


@dataclass(frozen=True)
class Job:
    """What all tasks of a pass share.

    `classes`: name -> number; `packs`: bytes of each archive; `source`: what the raw data was sent from;
    `label_counts`: what became of the rows of the labels' table; `memory`: bytes that one task has;
    `cropped`: whether the images are intermediates; `held`: see `deal`.
    """

    options: Options
    classes: Mapping[str, int]
    packs: Mapping[str, int]
    source: Mapping[str, Any]
    label_counts: Mapping[str, Any]
    memory: int
    cropped: bool = False
    held: str = ""

    def digest(self, task: Task, size: int) -> str:
        """Return what decides the bytes of a task's files of one size, as a digest."""
        known = [PROGRAM, asdict(self.options), self.classes, self.source, size, asdict(task)["images"]]
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


@dataclass
class Made:
    """What came out of a task at one size; `files` is empty when no image of it was whole.

    `digest`: see `Job.digest`; `memory`: bytes that the task had; `images`: how many it was given; `labels`:
    images of each label; `skipped`: images left out, with the reason; `notes`: what is to be said of others;
    `shown`: see `gallery`, at one of the sizes;
    `places`: first byte and length of each image in an archive.
    """

    part: str
    number: int
    size: int
    digest: str = ""
    memory: int = 0
    images: int = 0
    rows: int = 0
    labels: Mapping[str, int] = field(default_factory=dict)
    files: Sequence[SetFile] = field(default_factory=list)
    skipped: Sequence[Mapping[str, str]] = field(default_factory=list)
    notes: Sequence[Mapping[str, str]] = field(default_factory=list)
    shown: Sequence[Mapping[str, Any]] = field(default_factory=list)
    places: Mapping[str, Sequence[int]] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """Return the record that is kept of it."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, content: bytes) -> Made:
        """Read a record. Raises ValueError, TypeError: it is none of this version."""
        made = cls(**json.loads(content))
        made.files = [SetFile(**each) for each in made.files]  # type: ignore[arg-type]
        return made
