"""The layout of data sets: names, sizes and manifests, in the object store and in HDFS.

In the store: `<dataset>/raw/images/<file>`, small files together in `<dataset>/raw/packs/<digest>.tar`
(named in `<dataset>/raw/packs.json`), `<dataset>/raw/labels.csv` written last;
`<dataset>/<part>_<size>/part-*.csv.gz` with their `manifest.json`. A set exists if and only if the manifest
of its training part does, which is written last.

In HDFS: `/datasets/<dataset>/<part>_<size>/` with the same files and `_manifest.json`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

SIZES = (16, 32, 64, 128, 256)
"""Sides of pictures in pixels."""
DEFAULT_SIZE = 64
TRAIN, HOLDOUT, TEST = "train", "holdout", "test"
PARTS = (TEST, HOLDOUT, TRAIN)
"""The parts of a set in the order in which they are written: who sees the last has all."""
MANIFEST = "manifest.json"
STAGED_MANIFEST = "_manifest.json"
"""In HDFS: Spark reads no file whose name begins with an underscore."""
Text = str | bytes
_NAME = re.compile(rf"({'|'.join(PARTS)})_([0-9]+)")


def set_name(part: str, size: int) -> str:
    """Return the name of one part at one size: `train_64`."""
    return f"{part}_{size}"


def parse_set_name(name: str) -> tuple[str, int] | None:
    """Return the part and the size that a name says, None when it is no set's."""
    match = _NAME.fullmatch(name)
    return (match[1], int(match[2])) if match else None


def manifest_key(dataset: str, part: str, size: int) -> str:
    """Return the key of a set's manifest."""
    return f"{dataset}/{set_name(part, size)}/{MANIFEST}"


def part_key(dataset: str, part: str, size: int, number: int) -> str:
    """Return the key of one of a set's files."""
    return f"{dataset}/{set_name(part, size)}/part-{number:05d}.csv.gz"


def labels_key(dataset: str) -> str:
    """Return the key of the raw images' labels; raw data is complete once it is there."""
    return f"{dataset}/raw/labels.csv"


def packs_key(dataset: str) -> str:
    """Return the key of the list that says which raw image lies in which pack."""
    return f"{dataset}/raw/packs.json"


def pack_key(dataset: str, digest: str) -> str:
    """Return the key of a pack of small raw images."""
    return f"{dataset}/raw/packs/{digest}.tar"


def image_key(dataset: str, image: str) -> str:
    """Return the key of a raw image that is an object of its own; of '' the prefix of them all."""
    return f"{dataset}/raw/images/{image}"


def staged_home(dataset: str) -> str:
    """Return the folder in HDFS that all sets of a data set are staged into."""
    return f"/datasets/{dataset}"


def staged_folder(dataset: str, part: str, size: int) -> str:
    """Return the folder in HDFS of one set."""
    return f"{staged_home(dataset)}/{set_name(part, size)}"


@dataclass(frozen=True)
class SetFile:
    """One file of a set: its key in the store, its bytes, their SHA-256 and the rows in it."""

    key: str
    bytes: int
    sha256: str
    rows: int

    @property
    def name(self) -> str:
        """The file's name without its folder."""
        return self.key.rpartition("/")[2]


@dataclass(frozen=True)
class Manifest:
    """What is written about a set; nothing in it depends on when or where it was made.

    `columns` counts the first one too, which is a `label` or an `id`. `classes`: name -> number;
    `rows_per_class`: by number; `skipped`: images that could not be read, with the reason; `made_by`: the
    program and its options.
    """

    dataset: str = ""
    set: str = ""
    rows: int = 0
    bytes: int = 0
    columns: int = 0
    first_column: str = "label"
    size: int = 0
    channels: int = 1
    classes: dict[str, int] = field(default_factory=dict)
    rows_per_class: dict[str, int] = field(default_factory=dict)
    skipped: Sequence[dict[str, str]] = ()
    objects: Sequence[SetFile] = ()
    made_by: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the manifest as it is stored."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: Text) -> Manifest:
        """Read a stored manifest; what this version does not know is left out. Raises ValueError."""
        known: dict[str, Any] = json.loads(text)
        try:
            objects = tuple(SetFile(**each) for each in known.get("objects", ()))
            return cls(
                **{each.name: known[each.name] for each in fields(cls) if each.name in known}
                | {"objects": objects}
            )
        except TypeError as error:
            raise ValueError(f"no manifest: {error}") from error
