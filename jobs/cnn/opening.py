"""The sets of a run, opened when they are first needed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import hadoop
import images
from exchange import Exchange
from images import Reader
from loader import Loader
from parameters import Parameters
from selection import Selection

from muster_node.sets import Manifest, staged_folder


@dataclass(frozen=True)
class Opened:
    """A set that can be read. `about`: what is written about it."""

    about: Manifest
    loader: Loader

    @property
    def columns(self) -> int:
        """Values of a picture."""
        return self.about.size * self.about.size * self.about.channels


@dataclass
class Sets:
    """The sets of one data set in HDFS. `address`: the NameNode's, see hadoop.py."""

    dataset: str
    address: str
    hdfs: Any = field(default=None)
    files: Any = field(default=None)

    def __post_init__(self) -> None:
        self.hdfs = self.hdfs or hadoop.client(self.address)
        self.files = self.files or hadoop.files(self.address)

    @classmethod
    def of(cls, asked: Parameters) -> Sets:
        """Return those that the parameters name."""
        return cls(asked.dataset, hadoop.namenode())

    def about(self, part: str, side: int) -> Manifest:
        """Return what is written about a set. Ends the job with a line when it is not there."""
        return hadoop.manifest(self.hdfs, staged_folder(self.dataset, part, side))

    def open(self, part: str, side: int, selection: Selection, exchange: Exchange) -> Opened:
        """Return a set, of whose batches this process sees its share. Raises BadSet."""
        about, folder = self.about(part, side), staged_folder(self.dataset, part, side)
        reader = Reader(lambda path: self.files.open(path, "rb"))
        columns = about.size * about.size * about.channels
        groups = reader.groups(images.files_of(self.files, folder))
        loader = Loader(reader, groups, selection, columns=columns, rank=exchange.rank, ranks=exchange.ranks)
        return Opened(about, loader)
