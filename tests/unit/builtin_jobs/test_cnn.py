"""The parts of jobs/cnn that need no PyTorch: reading, choosing, ordering, changing."""

from __future__ import annotations

import importlib
import random
import sys
from types import ModuleType

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
    chosen = selection.Selection(shares=selection.shares([4000, 400, 0]))
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
