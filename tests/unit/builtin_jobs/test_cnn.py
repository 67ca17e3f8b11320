"""The parts of jobs/cnn that need no PyTorch: reading, choosing, ordering, changing."""

from __future__ import annotations

import dataclasses
import importlib
import json
import random
import sys
import threading
from functools import partial
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import writers
from tasks import Image

from muster_node import sets
from provision.core.paths import PROJECT

JOB = PROJECT / "jobs" / "cnn"
SIDE = 4


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch):
    """Return what imports one of the job's modules, none of which another job has left behind."""
    monkeypatch.syspath_prepend(str(JOB))
    for path in JOB.glob("*.py"):
        monkeypatch.delitem(sys.modules, path.stem, raising=False)
    return importlib.import_module


def picture(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)


@pytest.fixture
def paths(tmp_path, monkeypatch) -> list[str]:
    """Two files of 23 pictures of 3 classes, in row groups of 5."""
    monkeypatch.setattr(writers, "GROUP_ROWS", 5)
    found = []
    for part, numbers in enumerate((range(13), range(13, 23))):
        table = writers.ParquetFile(size=SIDE, channels=3, classes={}, multi_label=False)
        for number in numbers:
            table.add(Image(f"{number}.png", str(number % 3), f"s{number // 2}"), picture(number))
        path = tmp_path / f"part-0000{part}.parquet"
        path.write_bytes(table.finish().file.read())
        found.append(str(path))
    return found


@pytest.fixture
def reader(module):
    return module("images").Reader(lambda path: open(path, "rb"))  # noqa: PTH123


@pytest.fixture
def loader(module, reader, paths):
    """Return what makes loaders of the two files."""

    def make(selection=None, **keys):
        chosen = selection or module("selection").Selection()
        return module("loader").Loader(reader, reader.groups(paths), chosen, columns=SIDE * SIDE * 3, **keys)

    return make


def seen(batches) -> list[bytes]:
    return [row.tobytes() for batch in batches for row in batch.pixels]


def test_row_groups_are_read_one_by_one(reader, paths):
    groups = reader.groups(paths)
    assert [group.rows for group in groups] == [5, 5, 3, 5, 5]
    found = reader.pictures(groups[1])
    assert [row.name for row in found.rows] == [f"{number}.png" for number in range(5, 10)]
    assert found.rows[0].labels == (2,) and found.rows[0].subject == "s2"
    assert groups[1].bytes == pytest.approx(sum(map(len, found.packed)), rel=0.2)


def test_pictures_are_the_pixels_that_were_written(module, reader, paths):
    images = module("images")
    found = images.pixels(reader.pictures(reader.groups(paths)[0]).packed, SIDE * SIDE * 3)
    assert np.array_equal(found[3], picture(3).reshape(-1))
    with pytest.raises(images.BadSet, match="48 values where its set has 12"):
        images.pixels(reader.pictures(reader.groups(paths)[0]).packed, 12)


def test_several_labels_and_none(module, reader, tmp_path):
    table = writers.ParquetFile(size=SIDE, channels=3, classes={}, multi_label=True)
    table.add(Image("a", sets.join_labels(["0", "2"]), "a"), picture(0))
    table.add(Image("b", "", ""), picture(1))
    path = tmp_path / "part-00000.parquet"
    path.write_bytes(table.finish().file.read())
    (group,) = reader.groups([str(path)])
    assert [(row.labels, row.subject) for row in reader.rows(group)] == [((0, 2), "a"), ((), "b")]


def test_a_set_without_parquet_is_refused_in_a_line(module, tmp_path):
    files, images = pytest.importorskip("fsspec").filesystem("file"), module("images")
    with pytest.raises(images.BadSet, match=r"has no part-\*.parquet: take `parquet`"):
        images.files_of(files, str(tmp_path))


@pytest.mark.parametrize("kept", [0, 1 << 20])
def test_an_epoch_has_every_row_once_in_an_order_of_its_own(loader, module, monkeypatch, kept: int):
    monkeypatch.setattr(module("loader"), "KEPT_BYTES", kept)
    made = loader()
    epochs = [seen(made.epoch("train", 4, seed=1, number=number)) for number in (0, 1, 0)]
    assert sorted(epochs[0]) == sorted(picture(number).tobytes() for number in range(23))
    assert epochs[0] == epochs[2] != epochs[1]
    assert seen(made.in_order("train", 4)) == [picture(number).tobytes() for number in range(23)]


def test_what_is_kept_and_what_is_read_anew_are_the_same(loader, module, monkeypatch):
    few = seen(loader().epoch("train", 4, seed=3, number=2))
    monkeypatch.setattr(module("loader"), "KEPT_BYTES", 0)
    assert few == seen(loader().epoch("train", 4, seed=3, number=2))


@pytest.mark.parametrize("ranks", [2, 3])
def test_processes_share_the_batches_of_one(loader, ranks: int):
    whole = list(loader().epoch("train", 4, seed=1, number=0))
    shares = [
        list(loader(rank=rank, ranks=ranks).epoch("train", 4, seed=1, number=0)) for rank in range(ranks)
    ]
    for number, batch in enumerate(whole):
        parts = [share[number] for share in shares]
        assert all(part.labels == batch.labels and part.done == batch.done for part in parts)
        assert sorted(place for part in parts for place in part.mine) == list(range(len(batch.labels)))
        for part in parts:
            assert np.array_equal(part.pixels, batch.pixels[part.mine])
    assert sorted(row for share in range(ranks) for row in seen(loader(rank=share, ranks=ranks).in_order("train", 4))) == sorted(seen(whole))  # fmt: skip


def test_memory_is_bounded_by_a_window(module):
    order, images = module("order"), module("images")
    groups = [images.Group("a", number, 10, size) for number, size in enumerate((6, 5, 4, 99, 1, 2))]
    for epoch in range(5):
        windows = list(order.windows(groups, seed=1, epoch=epoch, limit=10))
        assert sorted(group.number for window in windows for group in window) == list(range(6))
        assert all(sum(group.bytes for group in window) <= 10 or len(window) == 1 for window in windows)


def test_batches_are_all_but_equal(module):
    batches = module("order").batches
    assert [len(batch) for batch in batches(list(range(70)), 32, seed=0, epoch=0, window=0)] == [35, 35]
    assert [len(batch) for batch in batches([5], 32, seed=0, epoch=0, window=0)] == [1]
    assert batches([], 32, seed=0, epoch=0, window=0) == []


def test_the_share_of_an_epoch_that_is_done_rises_to_its_end(loader):
    done = [batch.done for batch in loader().epoch("train", 4, seed=1, number=0)]
    assert done == sorted(done) and done[0] == 0 and 0.7 < done[-1] < 1


def test_a_subject_is_on_one_side(module):
    selection, images = module("selection"), module("images")
    chosen = selection.Selection(seed=5, validation=0.3)
    rows = [images.Row(f"{number}", f"s{number // 2}", (0,)) for number in range(2000)]
    parts = [chosen.part(row) for row in rows]
    assert parts[::2] == parts[1::2]
    assert 0.25 < parts.count(selection.ASKED) / 2000 < 0.35
    random.shuffle(rows)
    assert {row.name: chosen.part(row) for row in rows} == {f"{n}": part for n, part in enumerate(parts)}


def test_as_many_of_each_class_as_of_the_rarest(module):
    selection, images = module("selection"), module("images")
    chosen = selection.Selection(
        shares=module("classes").shares([4000, 400, 0], sample=1, balance="subsample")
    )
    rows = [images.Row(f"{number}", f"{number}", (0 if number < 4000 else 1,)) for number in range(4400)]
    taken = [row.labels[0] for row in rows if chosen.part(row)]
    assert taken.count(1) == 400 and 320 < taken.count(0) < 480


def test_only_chosen_classes_take_part(module):
    selection, images = module("selection"), module("images")
    chosen = selection.Selection(chosen=(0, 4))
    assert [chosen.part(images.Row("a", "a", (label,))) for label in range(5)] == [
        "train",
        "",
        "",
        "",
        "train",
    ]


def test_the_eight_turns_are_different_and_lay_the_square_on_itself(module):
    turns = module("augment").turns()
    corners = {(x, y) for x in (-1, 1) for y in (-1, 1)}
    marks = set()
    for turn in turns:
        moved = [tuple((turn @ np.array(corner)).round().astype(int).tolist()) for corner in sorted(corners)]
        assert set(moved) == corners
        marks.add(tuple(moved))
    assert len(marks) == 8


@pytest.mark.parametrize("how", ["shift", "turns", "all"])
def test_changes_are_small_and_the_same_for_the_same_draws(module, how: str):
    augment, order = module("augment"), module("order")
    maps = [augment.maps(200, how, order.draws(order.CHANGES, 1, 2, 3)) for _ in range(2)]
    assert np.array_equal(*maps) and maps[0].dtype == np.float32 and maps[0].shape == (200, 2, 3)
    sizes = np.sqrt(np.abs(np.linalg.det(maps[0][:, :, :2])))
    assert (np.abs(sizes - 1) <= 0.1001).all() and (np.abs(maps[0][:, :, 2]) <= 0.2).all()
    assert len(np.unique(maps[0].round(4), axis=0)) == (8 if how == "turns" else 200)


def test_a_digit_is_not_turned_and_an_eye_is(module):
    augment = module("augment")
    assert (augment.usual("plain"), augment.usual("eye")) == ("shift", "all")


def test_the_learning_rate_rises_and_then_falls(module):
    rate = module("schedule").rate
    rates = [rate(done / 100) for done in range(101)]
    top = rates.index(max(rates))
    assert rates[top] == 1 and top == 25
    assert rates[: top + 1] == sorted(rates[: top + 1]) and rates[top:] == sorted(rates[top:], reverse=True)
    assert 0 < rates[-1] < rates[0] < 0.1


@pytest.fixture
def parameters(module) -> ModuleType:
    return module("parameters")


def test_networks_and_changes_are_those_that_help_lists(parameters, module):
    from options import table

    told = table(parameters.Parameters)
    assert " | ".join(["usual", *module("augment").CHOICES]) in told


@pytest.fixture
def about() -> sets.Manifest:
    """Grades 0 to 4, most of them 0, of 100 pictures of eyes."""
    counts = {"0": 60, "1": 20, "2": 10, "3": 8, "4": 2}
    classes = {name: int(name) for name in counts}
    return sets.Manifest(
        dataset="eyes", set="train_16", rows=100, size=16, kind="eye", classes=classes, rows_per_class=counts
    )


def asked(module, **values):
    return module("parameters").Parameters(**{"size": 16, "dataset": "eyes", **values})


def test_what_is_learnt_by_default(module, about):
    found = module("plan").plan(asked(module, epochs=3), about)
    assert (found.output, found.changes, found.sides) == ("classes", "all", (16, 16, 16))
    assert found.chosen == (0, 1, 2, 3, 4) and found.selection.chosen == () == found.selection.shares


def test_zero_against_four(module, about):
    found = module("plan").plan(asked(module, only="0, 4", balance="subsample"), about)
    assert found.chosen == (0, 4) == found.held_out.chosen
    assert found.selection.shares == (2 / 60, 1.0, 1.0, 1.0, 1.0)
    assert not found.held_out.validation and not found.held_out.shares


def test_several_labels_are_seen(module, about):
    many = dataclasses.replace(about, rows_per_class={"0": 90, "1": 80})
    assert module("plan").plan(asked(module), many).output == "several"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"only": "0,x"}, "only=0,x: has to be whole numbers"),
        ({"only": "0,7"}, "only=0,7: no row of train_16 is of class 7"),
        ({"only": "4,0", "output": "ordinal"}, "grades go from low to high"),
        ({"sizes": "64,100"}, "sizes=64,100: there is no size 100"),
        ({"sizes": "64,128", "epochs": 1}, "2 sizes need as many epochs, not 1"),
        ({"patience": 2, "validation": 0.0}, "give validation=0.1"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(module, about, values, said: str):
    with pytest.raises(importlib.import_module("options").BadParameter, match=said) as refusal:
        module("plan").plan(asked(module, **values), about)
    assert "\n" not in str(refusal.value)


def test_several_labels_are_not_one_class(module, about):
    many = dataclasses.replace(about, rows_per_class={"0": 90, "1": 80})
    with pytest.raises(importlib.import_module("options").BadParameter, match="have several labels"):
        module("plan").plan(asked(module, output="ordinal"), many)
    with pytest.raises(importlib.import_module("classes").BadClasses, match="one class"):
        module("plan").plan(asked(module, only="3"), about)


def test_pictures_grow(module):
    sides = module("plan").sides
    assert sides(asked(module, sizes="64,128", epochs=5)) == (64, 64, 64, 128, 128)
    assert sides(asked(module, sizes="16,32,64", epochs=3)) == (16, 32, 64)


def test_early_stopping(module):
    watch = module("watch").Watch(2)
    seen = [(watch.see(loss), watch.over) for loss in (3.0, 2.0, 2.5, float("nan"))]
    assert seen == [(True, False), (True, False), (False, False), (False, True)]
    assert (watch.best, watch.epoch) == (2.0, 1)
    endless = module("watch").Watch(0)
    assert not any((endless.see(loss), endless.over)[1] for loss in (1.0, 2.0, 3.0, 4.0))


def test_scores_of_several_labels_agree_with_scikit_learn(module):
    metrics = pytest.importorskip("sklearn.metrics")
    draws = np.random.default_rng(4)
    shares = draws.random((200, 5))
    truth = draws.random((200, 5)) < shares * 0.8
    truth[:, 0] = True
    tally = module("scoring").SeveralLabels(5, 0.4)
    labels = [tuple(np.flatnonzero(row).tolist()) for row in truth]
    for begin in range(0, 200, 64):
        tally.add(labels[begin : begin + 64], shares[begin : begin + 64], np.zeros((0, 4), np.uint8))
    said, found = shares >= 0.4, tally.summary()
    assert tally.rows == 200 and found["accuracy"] == pytest.approx(metrics.accuracy_score(truth, said))
    asked_f2 = metrics.fbeta_score(truth, said, beta=2, average="samples", zero_division=0)
    assert found["f2"] == pytest.approx(asked_f2, abs=1e-6)
    recalls = metrics.recall_score(truth, said, average=None, zero_division=0)
    assert [each["recall"] for each in found["classes"]] == pytest.approx(list(recalls))
    assert tally.warning() == ""


def test_always_the_same_labels_are_told(module):
    tally = module("scoring").SeveralLabels(3, 0.5)
    tally.add([(0,), (1,), ()], np.array([[0.9, 0.1, 0.8]] * 3), np.zeros((3, 4), np.uint8))
    assert tally.warning() == "100.0% of the images are given the same labels: 0, 2"
    assert module("scoring").SeveralLabels(3, 0.5).warning() == ""


def test_scores_of_one_class_are_added_up(module):
    tally = module("scoring").OneLabel(3)
    shares = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1]])
    for _ in range(2):
        tally.add([(0,), (2,)], shares, np.zeros((2, 4), np.uint8))
    assert (tally.rows, tally.right) == (4, 2) and tally.matrix.tolist() == [[2, 0, 0], [0, 0, 0], [0, 2, 0]]
    assert [sample.true for sample in tally.worst] == [2, 2] and tally.summary()["accuracy"] == 0.5


def test_lines_of_the_first_process_are_said_until_the_last(module):
    together, said = module("together"), []
    lines = {"line 1": b"epoch 1", "line 2": b"epoch 2", "line 3": together.END.encode(), "line 4": b"never"}
    store = SimpleNamespace(wait=lambda keys, _: lines[keys[0]], get=lines.get)
    together._repeat(store, said.append)
    assert said == ["epoch 1", "epoch 2"]


def test_more_nodes_than_there_are_is_refused_in_a_line(module, monkeypatch):
    together = module("together")
    monkeypatch.setattr(together, "share_of", lambda _: SimpleNamespace(executors=2, cores=2))
    with pytest.raises(together.TooFew, match="nodes=3: the cluster has 2 that run"):
        together.learn(None, asked(module, nodes=3), "/results/a", print)


SPARK_SAYS = """An error occurred while calling z:org.apache.spark.api.python.PythonRDD.collectAndServe.
: org.apache.spark.SparkException: Job aborted due to stage failure: Could not recover from a barrier stage.
{python}
Caused by: java.io.EOFException
\t... 22 more
"""


@pytest.mark.parametrize(
    ("python", "said"),
    [
        ("org.apache.spark.SparkException: Python worker exited unexpectedly", "has ended unexpectedly"),
        (
            "Traceback:\n  File a\nRuntimeError: device=gpu: none\n\tat org.apache",
            "RuntimeError: device=gpu: none",
        ),
    ],
)
def test_processes_that_fail_are_tried_again_and_at_last_told_in_a_line(module, python: str, said: str):
    together, lines = module("together"), []

    class Failed(Exception):
        def __str__(self) -> str:
            return SPARK_SAYS.format(python=python)

    def failing() -> None:
        raise Failed

    with pytest.raises(together.BrokenOff, match=f"^3 times .*{said}$") as refusal:
        together.insist(failing, failure=Failed, say=lines.append)
    assert "\n" not in str(refusal.value) and len(lines) == 2


def test_a_second_try_may_do(module):
    together, tries, lines = module("together"), [1, 0], []
    together.insist(lambda: 1 // (1 - tries.pop(0)), failure=ZeroDivisionError, say=lines.append)
    assert len(lines) == 1 and "going on from the last checkpoint" in lines[0]


def test_work_is_done_ahead_and_in_order(module):
    begun, gate = [], threading.Event()

    def task(number: int) -> int:
        begun.append(number)
        if number == 0:
            assert gate.wait(10)
        elif number == 2:
            gate.set()
        return number

    found = module("ahead").ahead((partial(task, number) for number in range(9)), threads=2)
    assert next(found) == 0 and {1, 2} <= set(begun) and max(begun) < 6
    assert list(found) == list(range(1, 9))


def test_what_fails_ahead_fails_where_it_is_asked_for(module):
    found = module("ahead").ahead([lambda: 1, lambda: 1 // 0], threads=1)
    assert next(found) == 1
    with pytest.raises(ZeroDivisionError):
        next(found)


def test_a_run_that_goes_on_notes_what_it_learns_with(module, monkeypatch, tmp_path):
    parameters, resuming = module("parameters").Parameters, module("resuming")
    monkeypatch.setenv("MUSTER_RESULTS", str(tmp_path))
    before = dataclasses.asdict(parameters(size=16, dataset="digits", network="mlp", epochs=3, nodes=2))
    asked = parameters(size=64, dataset="eyes", resume="cnn-1", nodes=0)
    found = resuming.resumed(asked, {"parameters": before}, {"resume": "cnn-1", "nodes": "0"})
    assert dataclasses.asdict(found) == before | {"resume": "cnn-1", "nodes": 0}
    assert json.loads((tmp_path / "parameters.json").read_text()) == dataclasses.asdict(found)
    with pytest.raises(resuming.BadCheckpoint, match="size=64: cnn-1 was begun with size=16"):
        resuming.resumed(asked, {"parameters": before}, {"resume": "cnn-1", "size": "64"})
