"""The layout of data sets: names, sizes and manifests, in the object store and in HDFS.

In the store: `<dataset>/raw/images/<file>`, small files together in `<dataset>/raw/packs/<digest>.tar`
(named in `<dataset>/raw/packs.json`), `<dataset>/raw/source.json` about the folder that they came from,
`<dataset>/raw/label_report.csv` (rows of the user's table that were not used) and
`<dataset>/raw/label_counts.json` about them; `<dataset>/raw/labels.csv` written last (columns image and
label, several labels of an image are joined);
`<dataset>/<part>_<size>/part-*.csv.gz` and `part-*.parquet` (the same rows) with their `manifest.json`;
`made-*.json` is what is known of each part once it is made. A set exists if and only if the manifest of its
training part does, which is written last. `<dataset>/masters/<part>/part-*.tar` are intermediates, listed in
`<dataset>/masters/index.json`; `<dataset>/preprocess/` is what a pass has to say.

In HDFS: `/datasets/<dataset>/<part>_<size>/` with the same part files and `_manifest.json`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

SIZES = (16, 32, 64, 128, 256)
"""Sides of pictures in pixels."""
DEFAULT_SIZE = 64
MASTER = 1024
"""Side of intermediates, from which sets of all sizes can be made without the originals."""
TRAIN, HOLDOUT, TEST = "train", "holdout", "test"
PARTS = (TEST, HOLDOUT, TRAIN)
"""The parts of a set in the order in which they are written: who sees the last has all."""
MANIFEST = "manifest.json"
STAGED_MANIFEST = "_manifest.json"
"""In HDFS: Spark reads no file whose name begins with an underscore."""
BALANCES = ("none", "weights", "subsample")
"""What is done about classes of unlike size: nothing, weights in the manifest, or the smallest one's size."""
Text = str | bytes
HELD = "held"
"""In the description of raw data: what the names of images begin with that are held out in any case."""
LABEL_SEPARATOR = "|"
"""Joins the labels of an image that has several; no label has it in it."""
_NAME = re.compile(rf"({'|'.join(PARTS)})_([0-9]+)")


def set_name(part: str, size: int) -> str:
    """Return the name of one part at one size: `train_64`."""
    return f"{part}_{size}"


def parse_set_name(name: str) -> tuple[str, int] | None:
    """Return the part and the size that a name says, None when it is no set's."""
    match = _NAME.fullmatch(name)
    return (match[1], int(match[2])) if match else None


def set_prefix(dataset: str, part: str, size: int) -> str:
    """Return what the keys of one part at one size begin with, intermediates included."""
    return f"{dataset}/masters/{part}/" if size == MASTER else f"{dataset}/{set_name(part, size)}/"


def manifest_key(dataset: str, part: str, size: int) -> str:
    """Return the key of a set's manifest."""
    return set_prefix(dataset, part, size) + MANIFEST


def part_key(dataset: str, part: str, size: int, number: int, suffix: str) -> str:
    """Return the key of one of a set's files; `suffix` is `csv.gz`, `parquet` or, of intermediates, `tar`."""
    return f"{set_prefix(dataset, part, size)}part-{number:05d}.{suffix}"


def record_key(dataset: str, part: str, size: int, number: int) -> str:
    """Return the key of what is known of a part once its files are written."""
    return f"{set_prefix(dataset, part, size)}made-{number:05d}.json"


def masters_key(dataset: str) -> str:
    """Return the key of the list of intermediates; they are complete once it is there."""
    return f"{dataset}/masters/index.json"


def report_key(dataset: str) -> str:
    """Return the key of what the last pass of preprocessing has to say of images."""
    return f"{dataset}/preprocess/report.csv"


def sheet_key(dataset: str) -> str:
    """Return the key of the last pass's contact sheet."""
    return f"{dataset}/preprocess/contact_sheet.png"


def sizes_made(dataset: str, keys: Iterable[str]) -> list[int]:
    """Return the sizes that `keys`, which begin with the data set's name, have whole sets of."""
    folders = (key.removeprefix(f"{dataset}/").partition("/") for key in keys)
    names = [parse_set_name(name) for name, _, file in folders if file == MANIFEST]
    return sorted({parsed[1] for parsed in names if parsed and parsed[0] == TRAIN})


def labels_key(dataset: str) -> str:
    """Return the key of the raw images' labels; raw data is complete once it is there."""
    return f"{dataset}/raw/labels.csv"


def label_report_key(dataset: str) -> str:
    """Return the key of the table of rows that gave no label: line, kind, row, why."""
    return f"{dataset}/raw/label_report.csv"


def label_counts_key(dataset: str) -> str:
    """Return the key of `{"rows": …, "used": …, "reported": {kind: …}}` about the labels' rows."""
    return f"{dataset}/raw/label_counts.json"


def join_labels(labels: Iterable[str]) -> str:
    """Return an image's labels as one text: each once, in alphabetical order."""
    return LABEL_SEPARATOR.join(sorted(set(labels)))


def split_labels(joined: str) -> list[str]:
    """Return the labels that `join_labels` has joined; a single label is itself."""
    return joined.split(LABEL_SEPARATOR)


def source_key(dataset: str) -> str:
    """Return the key of what tells the folder that raw images came from apart from a changed one."""
    return f"{dataset}/raw/source.json"


def description_key(dataset: str) -> str:
    """Return the key of what is told of raw data: `kind` (plain, eye), `multi_label`, HELD and more."""
    return f"{dataset}/raw/description.json"


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


def told_folder(dataset: str) -> str:
    """Return the folder in HDFS of what the last pass of preprocessing has to say, for people."""
    return f"{staged_home(dataset)}/_preprocess"


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

    `columns` (of CSV) counts the first one too, which is a `label` or an `id`. `classes`: name -> number;
    `rows_per_class` and, where they were asked for, `class_weights`: by number; `kind`: what was done to
    images; `images`: how many the set was made of, the `skipped` ones among them, which could not be read
    (with the reason), and the `noted` ones, of which the report says something; `source`: what was sent, see
    `source_key`; `labels`: rows that were used and reported, see `label_counts_key`; `made_by`: the program
    and its options.
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
    class_weights: dict[str, float] = field(default_factory=dict)
    kind: str = "plain"
    images: int = 0
    noted: int = 0
    skipped: Sequence[dict[str, str]] = ()
    objects: Sequence[SetFile] = ()
    source: dict[str, Any] = field(default_factory=dict)
    labels: dict[str, Any] = field(default_factory=dict)
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
