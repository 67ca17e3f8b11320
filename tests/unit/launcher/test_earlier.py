"""Models of earlier clusters: MLflow knows their runs, and has what they have saved."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import earlier
import pytest
from answering import Desk
from earlier import Earlier
from runs import NoModel
from uploads import Upload

from muster_node.tracking.client import Server as Client
from muster_node.tracking.settings import Settings
from tests.fakes.mlflow import PASSWORD, MlflowHandler
from tests.fakes.servers import Server

from .conftest import MEMORY, Cluster, bright
from .test_answering import png

HERE, OLD, OLDER = (
    "cnn-20261129-100000-aaaa", "baseline-20260901-100000-bbbb", "baseline-20260801-100000-cccc",
)  # fmt: skip


class History:
    """What MLflow has of earlier clusters."""

    def __init__(self, root: Path, handler: type[MlflowHandler], settings: Settings) -> None:
        self.root, self.handler, self.settings = root, handler, settings
        self._server = Client(settings)

    def run(self, name: str, *, cluster: str = "lake", **metrics: Any) -> str:
        """Put a run there with all that it has left; return where."""
        Cluster(self.root).run(name, **metrics)
        folder = self.root / "results" / name
        tags = {
            "muster.run": name, "muster.dataset": metrics.get("dataset", "lamps"), "muster.model": "estimator",
            "muster.cluster": cluster, "muster.cluster_id": f"{cluster}-id",
        }  # fmt: skip
        info = self._server.create(self._server.experiment("lamps"), name, tags, start=1)["info"]
        numbers = {"accuracy": 0.5} | metrics
        points = [
            {"key": key, "value": value, "timestamp": 1, "step": 0}
            for key, value in numbers.items()
            if isinstance(value, float)
        ]
        self._server.log(info["run_id"], metrics=points)
        for path in folder.rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                self._server.upload(
                    info["artifact_uri"],
                    path.relative_to(folder).as_posix(),
                    io.BytesIO(content),
                    len(content),
                )
        return str(info["artifact_uri"]).removeprefix("mlflow-artifacts:/")

    def lose(self, where: str, name: str) -> None:
        """Have a file of a run gone."""
        del self.handler.files[f"{where}/{name}"]


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    """MLflow without any run."""
    handler = MlflowHandler.fresh()
    with Server(handler) as server:
        yield History(tmp_path / "lake", handler, Settings(server.url, "jobs", PASSWORD, "pond", "pond-id"))


@pytest.fixture
def desk_of(cluster: Cluster, history: History, tmp_path: Path) -> Callable[[], Desk]:
    """Makes who answers, as after a restart."""
    return lambda: Desk(cluster.results, "lamps", MEMORY, tmp_path, Earlier(history.settings))


def test_the_best_model_of_an_earlier_cluster_answers(desk_of, cluster, history) -> None:
    cluster.run(HERE, accuracy=0.7)
    history.run(OLD, accuracy=0.9)
    history.run(OLDER, accuracy=0.8)
    desk = desk_of()
    chosen = desk.ready()
    assert (chosen.run.name, chosen.run.cluster, chosen.value) == (OLD, "lake", 0.9)
    assert (chosen.rule, chosen.notes) == ("the best of 3 runs", ())
    assert desk.answer(Upload("a.png", png(bright(0.9))), chosen.run, look=True).said == "light"


def test_a_better_one_of_this_cluster_answers_and_its_own_runs_count_once(desk_of, cluster, history) -> None:
    cluster.run(HERE, accuracy=0.95)
    history.run(HERE, cluster="pond", accuracy=0.95)
    history.run(OLD, accuracy=0.9)
    history.run(OLDER, accuracy=0.99, dataset="others")
    chosen = desk_of().ready()
    assert (chosen.run.name, chosen.run.cluster, chosen.rule) == (HERE, "", "the best of 2 runs")


def test_grades_are_ranked_by_their_kappa_in_mlflow_too(desk_of, cluster, history, monkeypatch) -> None:
    monkeypatch.setattr(earlier, "MOST", 1)
    cluster.stage(kind="eye")
    history.run(OLD, accuracy=0.9, quadratic_weighted_kappa=0.1)
    history.run(OLDER, accuracy=0.8, quadratic_weighted_kappa=0.4)
    assert (desk_of().choose().run.name, desk_of().choose().metric) == (OLDER, "kappa")


@pytest.mark.parametrize(
    ("lost", "known"),
    [
        ("metrics.json", False),
        ("estimator/about.json", False),
        ("estimator/estimator.joblib", False),
        ("estimator/estimator.joblib", True),
    ],
)
def test_a_model_that_cannot_be_read_is_passed_over_with_a_line(
    desk_of, cluster, history, lost: str, known: bool
) -> None:
    cluster.run(HERE, accuracy=0.7)
    where = history.run(OLD, accuracy=0.9)
    desk = desk_of()
    if known:
        assert desk.choose().run.name == OLD
    history.lose(where, lost)
    chosen = desk.ready()
    assert chosen.run.name == HERE
    (note,) = chosen.notes
    assert note.startswith("Passed over: ") and OLD in note and "\n" not in note
    assert desk.choose().notes == (note,), "it is not tried at every request"


def test_another_set_of_that_name_is_not_what_the_model_has_learnt(desk_of, cluster, history) -> None:
    cluster.stage(classes={"day": 0, "night": 1})
    history.run(OLD)
    with pytest.raises(
        NoModel, match=f"Passed over: {OLD} has learnt another lamps than is in HDFS: its classes"
    ):
        desk_of().ready()


def test_without_mlflow_the_runs_of_this_cluster_answer_and_it_is_said(
    desk_of, cluster, history, tmp_path
) -> None:
    cluster.run(HERE, accuracy=0.7)
    gone = Settings("http://127.0.0.1:9", "jobs", PASSWORD, "pond", "pond-id")
    chosen = Desk(cluster.results, "lamps", MEMORY, tmp_path, Earlier(gone)).ready()
    assert chosen.run.name == HERE
    (note,) = chosen.notes
    assert note.startswith(
        "Other runs of earlier clusters are not looked at: http://127.0.0.1:9 does not answer"
    )
    assert PASSWORD not in note


def test_mlflow_that_starts_after_the_form_is_asked_again(cluster, history, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(earlier, "RETRY_S", 0.0)
    history.run(OLD)
    monkeypatch.setattr(history.handler, "_experiments_search", lambda *_: 1 / 0)  # it hangs up
    desk = Desk(cluster.results, "lamps", MEMORY, tmp_path, Earlier(history.settings))
    with pytest.raises(NoModel, match="There is no model of lamps yet: .* not looked at: http"):
        desk.ready()
    monkeypatch.undo()
    assert (desk.ready().run.name, desk.ready().notes) == (OLD, ())


def test_an_earlier_run_can_be_pinned(desk_of, cluster, history) -> None:
    cluster.run(HERE, accuracy=0.9)
    history.run(OLD, accuracy=0.8)
    assert desk_of().pin(OLD).run.cluster == "lake"
    assert (desk_of().ready().run.name, desk_of().ready().rule) == (OLD, "pinned")
    with pytest.raises(NoModel, match="nobody is no run with a model of pictures"):
        desk_of().pin("nobody")
    assert desk_of().pin("").run.name == HERE


def test_a_pinned_model_that_is_gone_is_said_and_no_other_answers(desk_of, cluster, history) -> None:
    cluster.run(HERE)
    where = history.run(OLD)
    desk_of().pin(OLD)
    history.lose(where, "estimator/estimator.joblib")
    with pytest.raises(NoModel, match=f"{OLD} has saved no model|cannot be read"):
        desk_of().ready()


def test_a_model_of_an_earlier_grid_answers(desk_of, cluster, history) -> None:
    cluster.run(HERE, accuracy=0.7)
    inner = Cluster(history.root)
    inner.run(f"{OLD}/raw_mlp", accuracy=0.8, variant="raw")
    history.run(OLD, model=False, job="grid", class_names=None, accuracies={"raw": {"mlp": 0.8}})
    desk = desk_of()
    assert (desk.ready().run.name, desk.ready().run.cluster) == (f"{OLD}/raw_mlp", "lake")
    desk.pin(HERE)
    assert desk.pin(f"{OLD}/raw_mlp").rule == "pinned"
