"""The runs of this cluster: their results are in its HDFS, as is the data set that they have learnt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from runs import RUN, NoModel, Run

from muster_node import sets
from muster_node.hdfs.folder import Folder
from muster_node.hdfs.webhdfs import Hdfs
from muster_node.sets import Manifest

RESULTS = "/results"


@dataclass(frozen=True)
class Below:
    """Results in a folder of HDFS."""

    hdfs: Hdfs | Folder
    folder: str

    def lengths(self, folder: str) -> Mapping[str, int]:
        """See Place."""
        return self.hdfs.lengths(f"{self.folder}/{folder}") or {}

    def read(self, path: str) -> bytes | None:
        """See Place."""
        return self.hdfs.read(f"{self.folder}/{path}")


@dataclass
class Results:
    """What HDFS has of finished runs; what was read once is remembered, as it does not change."""

    hdfs: Hdfs | Folder
    _known: dict[str, Run] = field(default_factory=dict)

    def all(self) -> list[Run]:
        """Return the runs that have written metrics, also those within a run. Raises HdfsError."""
        runs = [run for name in self.hdfs.folders(RESULTS) if (run := self.named(name))]
        cells = [f"{run.name}/{cell}" for run in runs for cell in run.cells()]
        return runs + [run for name in cells if (run := self.named(name))]

    def named(self, name: str) -> Run | None:
        """Return one run, None when there is none. Raises HdfsError."""
        if name not in self._known:
            run = Run.at(Below(self.hdfs, f"{RESULTS}/{name}"), name) if RUN.fullmatch(name) else None
            if run is None:
                return None
            self._known[name] = run
        return self._known[name]

    def manifest(self, dataset: str) -> Manifest:
        """Return what is written about a data set, at any of its sizes: pictures are made alike at all.

        Raises:
            NoModel: it is not staged.
            HdfsError: HDFS does not answer.
        """
        home = sets.staged_home(dataset)
        for name in filter(sets.parse_set_name, self.hdfs.folders(home)):
            if text := self.hdfs.read(f"{home}/{name}/{sets.STAGED_MANIFEST}"):
                return Manifest.from_json(text)
        raise NoModel(f"The data set {dataset} is not in HDFS; ./muster up stages it")
