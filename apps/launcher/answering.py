"""What the form says of a picture. Nothing here may be called twice at a time: memory has room for one."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import looking
from decoding import CorruptImage
from earlier import Earlier
from in_hdfs import Results
from models import Model, are_grades, load
from pictures import prepare
from runs import NoModel, Run, ranked
from uploads import LARGEST, MIB, Upload

from muster_node.hdfs.webhdfs import HdfsError

PIN = PINNED = "pinned"
AGAIN_S = 300.0
"""A run whose model could not be read is tried again after so many seconds."""
USED = Path("/run/muster-used/launcher")
"""Its time is when somebody last asked: autostop looks at it."""

RANKING = {False: "accuracy", True: "quadratic_weighted_kappa"}
"""MLflow's metric that ranks runs, by whether classes are grades; see Run.headline."""


@dataclass(frozen=True)
class Chosen:
    """The run whose model answers, and by which rule; `notes`: which others would, and why they do not."""

    run: Run
    metric: str
    value: float
    rule: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answer:
    """What was found of a picture: `problem` is why nothing was, in one line ('' = something was).

    `said`: the class, or all labels; `shares`: (class, probability), the likeliest first; `notes`: what
    preparing it has to tell. `seen` and `looked` are addresses of pictures, '' = not asked for, or nowhere.
    """

    name: str
    problem: str = ""
    said: str = ""
    shares: tuple[tuple[str, float], ...] = ()
    notes: tuple[str, ...] = ()
    seen: str = ""
    looked: str = ""


class Desk:
    """Answers questions about pictures with the model that is the best at the time.

    Args:
        results: the finished runs.
        dataset: the cluster's.
        memory: bytes that decoding a picture may take, and so many again a model's file.
        folder: where the pinned run is remembered.
        earlier: the runs of earlier clusters; None = nothing is known of them.
    """

    def __init__(
        self, results: Results, dataset: str, memory: int, folder: Path, earlier: Earlier | None = None
    ) -> None:
        self._results, self._dataset, self._memory, self._earlier = results, dataset, memory, earlier
        self._pin = folder / PIN
        self._model: Model | None = None
        self._failed: dict[str, tuple[float, str]] = {}

    def choose(self) -> Chosen:
        """Return whose model answers. Raises NoModel, HdfsError."""
        if self._pin.is_file():
            return self._chosen(self._named(self._pin.read_text()), PINNED, ())
        grades = are_grades(self._results.manifest(self._dataset))
        runs, notes = self._results.all(), list[str]()
        if self._earlier:
            earlier, told = self._earlier.best(self._dataset, RANKING[grades])
            runs, notes = [*runs, *earlier], [*told]
        runs = ranked(runs, dataset=self._dataset, grades=grades)
        for run in runs:
            try:
                engine = self._engine(run)
            except NoModel as error:
                notes.append(error.note())
                continue
            if engine:
                rule = f"the best of {len(runs)} runs" if len(runs) > 1 else "the only run"
                return self._chosen(run, rule, tuple(notes))
        lack = f"There is no model of {self._dataset} yet: train one, for example with ./muster submit cnn"
        raise NoModel(". ".join((lack, *notes)))

    def ready(self) -> Chosen:
        """Return whose model answers, which is loaded; a run whose model cannot be is passed over.

        Raises:
            NoModel: none can, or that of the pinned run cannot.
            HdfsError: HDFS does not answer.
        """
        while True:
            chosen = self.choose()
            try:
                self._open(chosen.run)
            except NoModel as error:
                if chosen.rule == PINNED:
                    raise
                self._failed[chosen.run.name] = time.monotonic() + AGAIN_S, str(error)
            else:
                return chosen

    def pin(self, name: str) -> Chosen:
        """Let a run's model answer from now on, '' = the best one. Raises NoModel, HdfsError."""
        if name:
            self._open(self._named(name))
            self._pin.write_text(name)
        else:
            self._pin.unlink(missing_ok=True)
        return self.choose()

    def warm(self) -> None:
        """Have the model ready before it is asked; what hinders that is said when it is."""
        with suppress(NoModel, HdfsError):
            self.ready()

    def answer(self, upload: Upload, run: Run, *, look: bool) -> Answer:
        """Answer about a picture with a run's model. Raises NoModel, HdfsError.

        Args:
            upload: the picture's file.
            run: see `ready`.
            look: whether it is found out where the model looks.
        """
        with suppress(OSError):
            USED.touch()
        if upload.content is None:
            return Answer(
                upload.name, f"{upload.name} is larger than {LARGEST // MIB} MB; send a smaller one"
            )
        model = self._open(run)
        try:
            prepared = prepare(upload.content, model.recipe, self._memory)
        except CorruptImage as error:
            return Answer(upload.name, f"{upload.name} is no picture that can be read: {error}")
        picture = prepared.pictures[run.size]
        began = time.monotonic()
        (shares,) = model.shares(picture.reshape(1, -1))
        steps = looking.affordable(time.monotonic() - began)
        image, looked = looking.shown(picture), ""
        if look:
            heat = looking.importance(picture, partial(model.odds, number=int(shares.argmax())), steps)
            looked = looking.address(looking.heated(image, heat)) if heat.any() else ""
        order = tuple(sorted(zip(run.names, map(float, shares), strict=True), key=lambda each: -each[1]))
        said = model.said(order)
        return Answer(upload.name, "", said, order, prepared.notes, looking.address(image), looked)

    def _named(self, name: str) -> Run:
        """Return one run. Raises NoModel, HdfsError."""
        run = self._results.named(name)
        if run is None and self._earlier:
            run = self._earlier.named(name)
        if run is None or not run.of_pictures:
            raise NoModel(f"{name} is no run with a model of pictures; ./muster jobs lists the runs")
        return run

    def _engine(self, run: Run) -> str:
        """Return which model of a run may answer, '' = it has none. Raises NoModel: it cannot be read."""
        until, why = self._failed.get(run.name, (0.0, ""))
        if time.monotonic() < until:
            raise NoModel(why)
        engine = run.engine()
        if run.cluster and not engine:
            raise NoModel(f"MLflow has no model of {run.name} that can answer here")
        return engine

    def _chosen(self, run: Run, rule: str, notes: tuple[str, ...]) -> Chosen:
        metric, value = run.headline(grades=are_grades(self._results.manifest(run.dataset)))
        return Chosen(run, metric, value, rule, notes)

    def _open(self, run: Run) -> Model:
        if self._model is None or self._model.run.name != run.name:
            self._model = None
            self._model = load(self._results, run, self._memory)
        return self._model
