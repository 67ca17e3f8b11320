"""The runs of earlier clusters: MLflow knows them, and has their models as artifacts.

Nothing here is needed: where MLflow does not answer, the runs of this cluster do, and it is said.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runs import RUN, NoModel, Run

from muster_node.tracking.client import NEWEST, Server
from muster_node.tracking.settings import Settings, Untracked

FRESH_S, RETRY_S = 60.0, 5.0
"""How long MLflow's answer counts, as earlier clusters train nothing any more; and that it gave none."""
MOST = 50
"""So many of the best runs are looked at: of each its metrics.json is read once."""
SEARCH_S, READ_S = 10.0, 60.0
"""Seconds that MLflow may be silent when it is asked for runs, and for a file."""
SAVED = "tags.`muster.model` != ''"
"""MLflow's search for runs that have saved a model."""


@dataclass(frozen=True)
class Artifacts:
    """Results of a run that MLflow has. `run_id`, `uri`: its own; `name`: ours; `below`: `FOLDER/` or ''."""

    server: Server
    run_id: str
    uri: str
    name: str
    below: str = ""
    _seen: dict[str, dict[str, int]] = field(default_factory=dict, repr=False)

    def lengths(self, folder: str) -> Mapping[str, int]:
        """See Place."""
        if folder not in self._seen:
            try:
                told = self.server.get("artifacts/list", run_id=self.run_id, path=f"{self.below}{folder}")
            except Untracked as error:
                raise self._unread(folder, error) from error
            files = (each for each in told.get("files", ()) if not each["is_dir"])
            self._seen[folder] = {
                str(each["path"]).rpartition("/")[2]: int(each["file_size"]) for each in files
            }
        return self._seen[folder]

    def read(self, path: str) -> bytes | None:
        """See Place."""
        try:
            return self.server.download(self.uri, f"{self.below}{path}")
        except Untracked as error:
            raise self._unread(path, error) from error

    def _unread(self, what: str, error: Untracked) -> NoModel:
        return NoModel(f"{what} of {self.name} cannot be read in MLflow: {error}")


class Earlier:
    """What MLflow knows of earlier clusters. `settings`: of its server."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._known: dict[tuple[str, str], Run] = {}
        self._next = 0.0
        self._best: list[Run] = []
        self._notes: list[str] = []

    def best(self, dataset: str, metric: str) -> tuple[list[Run], list[str]]:
        """Return the best runs of a data set by one of MLflow's metrics, and what is to be said of others."""
        if time.monotonic() >= self._next:
            own = self._settings.cluster_id
            where = f"tags.`muster.dataset` = '{dataset}' AND tags.`muster.cluster_id` != '{own}'"
            try:
                self._best, self._notes = self._found(where, f"metrics.{metric} DESC")
                self._next = time.monotonic() + FRESH_S
            except Untracked as error:  # the runs that are known have answered, and may go on
                self._notes = [f"Other runs of earlier clusters are not looked at: {error}"]
                self._next = time.monotonic() + RETRY_S
        return self._best, self._notes

    def named(self, name: str) -> Run | None:
        """Return one run, None when MLflow knows none that has saved a model. Raises NoModel."""
        try:
            outer = name.partition("/")[0] if RUN.fullmatch(name) else ""
            found, notes = self._found(f"tags.`muster.run` = '{outer}'") if outer else ([], [])
        except Untracked as error:
            raise NoModel(f"{name} is no run of this cluster, and earlier ones: {error}") from error
        there = next((run for run in found if run.name == name), None)
        if notes and not there:
            raise NoModel(notes[0])
        return there

    def _found(self, where: str, order: str = NEWEST) -> tuple[list[Run], list[str]]:
        """Return the runs that MLflow finds and whose metrics can be read, and what is said of others."""
        runs, notes = list[Run](), list[str]()
        for told in Server(self._settings, SEARCH_S).runs(f"{where} AND {SAVED}", order, most=MOST):
            outer = self._read(told, "", notes)
            runs += [outer] if outer else []
            cells = [self._read(told, cell, notes) for cell in outer.cells()] if outer else []
            runs += [run for run in cells if run]
        return runs, notes

    def _read(self, told: Mapping[str, Any], cell: str, notes: list[str]) -> Run | None:
        """Return a run, or one within it; `notes` get a line when it cannot be read."""
        run_id, uri = str(told["info"]["run_id"]), str(told["info"]["artifact_uri"])
        tags = {each["key"]: str(each["value"]) for each in told["data"]["tags"]}
        name = f"{tags['muster.run']}/{cell}" if cell else tags["muster.run"]
        key = (run_id, cell)
        if key not in self._known:
            place = Artifacts(Server(self._settings, READ_S), run_id, uri, name, f"{cell}/" if cell else "")
            try:
                run = Run.at(place, name, tags.get("muster.cluster", ""))
            except NoModel as error:
                notes.append(error.note())
                return None
            if run is None:
                return None
            self._known[key] = run
        return self._known[key]
