"""The pure parts of jobs/random_forest."""

from __future__ import annotations

import importlib
import re
import sys
from types import ModuleType

import classes
import pytest

from muster_node.sets import Manifest
from muster_node.tracking import facts
from provision.core.paths import PROJECT
from provision.jobs import comparison

np = pytest.importorskip("numpy")
JOB = PROJECT / "jobs" / "random_forest"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch):
    """Return what imports one of the job's modules, none of which another job has left behind."""
    monkeypatch.syspath_prepend(str(JOB))
    for name in ("main", "parameters", "forests", "apart", "together", "training_set"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module


@pytest.fixture
def forests(module) -> ModuleType:
    return module("forests")


def rows(count: int, labels: tuple[int, ...], *, columns: int = 12):
    """Rows whose pixels tell their label, but for some noise."""
    draw = np.random.default_rng(count)
    found = [labels[place % len(labels)] for place in range(count)]
    return [(label, (draw.integers(0, 40, columns) + 40 * label).astype(np.uint8)) for label in found]


def grown(forests: ModuleType, labels: tuple[int, ...], *, trees: int, seed: int, weights=None):
    data = rows(60, labels)
    pixels, numbers = forests.collect(data, rows=60, columns=12, classes=4, share=1, seed=seed)
    return forests.grow(
        pixels, numbers, classes=4, trees=trees, max_depth=20, weights=weights, seed=seed, cores=1
    )


@pytest.mark.parametrize(
    ("trees", "growers", "counts"), [(100, 3, [34, 33, 33]), (2, 5, [1, 1]), (7, 1, [7]), (8, 2, [4, 4])]
)
def test_trees_are_dealt_evenly_and_none_is_lost(
    forests: ModuleType, trees: int, growers: int, counts: list[int]
):
    assert forests.shares(trees, growers) == counts


def test_a_joined_forest_votes_as_all_trees_do(forests: ModuleType):
    apart = [grown(forests, (0, 1, 2, 3), trees=3 + seed, seed=seed) for seed in range(3)]
    trees = [tree for forest in apart for tree in forest.estimators_]
    joined = forests.combine(iter(apart))
    asked = np.stack([pixels for _, pixels in rows(40, (0, 1, 2, 3))]).astype(np.float32)
    votes = np.mean([tree.predict_proba(asked) for tree in trees], axis=0)
    assert joined.n_estimators == len(joined.estimators_) == 3 + 4 + 5
    assert np.allclose(joined.predict_proba(asked), votes)


def test_forests_that_saw_different_classes_number_them_alike(forests: ModuleType):
    """Nobody has shown a row of class 3; two nodes have each missed another one."""
    joined = forests.combine([
        grown(forests, (0, 1), trees=10, seed=1), grown(forests, (1, 2), trees=10, seed=2),
    ])  # fmt: skip
    assert list(joined.classes_) == [0, 1, 2, 3]
    asked = np.stack([pixels for _, pixels in rows(60, (0, 2))]).astype(np.float32)
    shares = joined.predict_proba(asked)
    assert shares[:, 3].max() == 0
    assert shares[::2, 0].min() > 0.3 and shares[1::2, 2].min() > 0.3  # one node's trees know the class
    assert shares[::2, 2].max() < 0.2 and shares[1::2, 0].max() < 0.2


def test_forests_of_different_things_are_not_joined(forests: ModuleType):
    wide = forests.collect(rows(60, (0, 1), columns=13), rows=60, columns=13, classes=4, share=1, seed=1)
    other = forests.grow(*wide, classes=4, trees=1, max_depth=3, weights=None, seed=1, cores=1)
    with pytest.raises(ValueError, match="other pixels"):
        forests.combine([grown(forests, (0, 1), trees=1, seed=1), other])
    with pytest.raises(ValueError, match="no forest"):
        forests.combine([])


def test_a_share_takes_other_rows_on_each_node_and_each_row_once(forests: ModuleType):
    data = [(0, np.full(2, place, np.uint8)) for place in range(100)]
    taken = []
    for seed in (1, 2):
        pixels, labels = forests.collect(iter(data), rows=100, columns=2, classes=3, share=0.3, seed=seed)
        assert pixels.shape == (33, 2) and labels.tolist() == [0] * 30 + [0, 1, 2]
        assert pixels[30:].sum() == 0
        taken.append(set(pixels[:30, 0].tolist()))
    assert len(taken[0]) == len(taken[1]) == 30 and taken[0] != taken[1]


@pytest.mark.parametrize("there", [9, 11])
def test_a_set_of_other_rows_than_its_manifest_says_is_refused(forests: ModuleType, there: int):
    with pytest.raises(ValueError, match=f"{there} rows were read where there should be 10"):
        forests.collect(rows(there, (0, 1)), rows=10, columns=12, classes=2, share=1, seed=0)


def test_weights_make_a_rare_class_count(module):
    """Two classes that nothing tells apart: without weights the frequent one is always said."""
    weights = classes.weights([90, 10])
    assert weights == [pytest.approx(100 / 180), 5.0]
    forests, blank = module("forests"), np.zeros(3, np.uint8)
    data = [(int(place % 10 == 0), blank) for place in range(100)]
    pixels, labels = forests.collect(data, rows=100, columns=3, classes=2, share=1, seed=0)
    share = {}
    for name, given in (("none", None), ("weights", weights)):
        forest = forests.grow(
            pixels, labels, classes=2, trees=50, max_depth=3, weights=given, seed=0, cores=1
        )
        share[name] = forest.predict_proba(np.zeros((1, 3), np.float32))[0, 1]
    assert share["none"] == pytest.approx(0.1, abs=0.03) and share["weights"] == pytest.approx(0.5, abs=0.06)


def test_what_a_forest_takes_is_bounded_by_its_estimate(forests: ModuleType):
    """The trees of a set that nothing can be learned from are the largest."""
    draw = np.random.default_rng(3)
    pixels = draw.integers(0, 255, (2000, 8)).astype(np.float32)
    labels = np.concatenate([draw.integers(0, 4, 1996), np.arange(4)])
    forest = forests.grow(pixels, labels, classes=4, trees=4, max_depth=30, weights=None, seed=0, cores=1)
    most = max(tree.tree_.node_count for tree in forest.estimators_) * (forests.BYTES_PER_NODE + 8 * 4)
    bound = forests.tree_memory(rows=2000, classes=4, depth=30)
    assert bound / 3 < most <= bound
    assert forests.tree_memory(rows=2000, classes=4, depth=3) == 2 * 8 * (forests.BYTES_PER_NODE + 8 * 4)


def test_what_does_not_fit_is_refused_in_one_line(module):
    plan = module("apart").Plan(
        rows=28_000, columns=196_608, classes=5, counts=(50, 50), max_depth=20, share=1.0,
        weights=None, seed=0, cores=8,
    )  # fmt: skip
    gib = 2**30
    assert plan.shortage(room=64 * gib, driver=8 * gib) == ""
    for room, driver, word in ((4 * gib, 8 * gib, "smaller share"), (64 * gib, gib // 16, "fewer trees")):
        said = plan.shortage(room=room, driver=driver)
        assert word in said and "MiB" in said and "\n" not in said


@pytest.mark.parametrize(
    ("rows", "columns", "cores", "parts"),
    [(1438, 256, 6, 3), (10, 256, 6, 1), (28_000, 4096, 6, 18), (28_000, 196_608, 60, 660)],
)
def test_parts_are_large_enough_to_be_worth_it_and_small_enough_to_fit(
    module, rows: int, columns: int, cores: int, parts: int
):
    together = module("together")
    assert together.partitions(rows=rows, columns=columns, cores=cores) == parts
    assert rows * columns * 8 / parts <= together.LARGEST_PART


def test_the_worst_mistakes_of_a_part_are_kept_with_their_pixels(module):
    """Class 0 is right, class 1 is missed: a little, and badly."""
    apart = module("apart")
    found = [
        (("0", np.full(4, 10, np.uint8)), np.array([0.9, 0.1])),
        (("1", np.full(4, 20, np.uint8)), np.array([0.6, 0.4])),
        (("1", np.full(4, 30, np.uint8)), np.array([0.8, 0.2])),
    ]
    ((matrix, worst),) = apart._judge(iter(found), classes=2)
    assert matrix.tolist() == [[1, 0], [2, 0]]
    assert [(one.true, one.predicted, one.of_true, one.pixels[0]) for one in worst] == [
        (1, 0, 0.2, 30), (1, 0, 0.4, 20),
    ]  # fmt: skip


@pytest.mark.parametrize("better", ["spark", "sklearn"])
def test_of_two_engines_the_better_one_is_what_runs_are_sorted_by(module, better):
    main, asked = module("main"), module("parameters").Parameters(size=16, dataset="digits")
    right, wrong = np.array([[9, 1], [0, 10]]), np.array([[6, 4], [0, 10]])
    outcomes = {
        name: main.Outcome(right if name == better else wrong, (), 1.0, 2.0) for name in ("sklearn", "spark")
    }
    about = Manifest(dataset="digits", columns=257, classes={"0": 0, "1": 1})
    told = main.metrics_of(outcomes, asked, about, rows=40)
    known = {str(each["key"]): each["value"] for each in facts.figures(told, 5.0)}
    run = {"run": better, "metrics": known, "tags": {}}
    assert (told["best_engine"], known[comparison.headline(run)]) == (better, 0.95)
    assert sorted(known[f"engines.{name}.accuracy"] for name in outcomes) == [0.8, 0.95]
    other = {"run": "other", "metrics": {"accuracy": 0.9}, "tags": {}}
    assert [each["run"] for each in comparison.ranked([other, run], "accuracy")] == [better, "other"]


def need(module, **other):
    known = {"rows": 1438, "columns": 256, "classes": 10, "trees": 100, "depth": 20}
    share = module("together").Share(executors=3, cores=2, executor_mb=812, driver_mb=768)
    return module("together").Need(**{**known, "has": share, **other})


def test_spark_is_given_no_more_memory_for_histograms_than_there_is(module):
    share = module("together").Share
    assert need(module).shortage() == "" and need(module).histograms_mb == 255
    small = need(module, rows=28_000, has=share(executors=3, cores=2, executor_mb=544, driver_mb=2048))
    assert small.shortage() == "" and small.histograms_mb == 60
    large = need(module, rows=28_000, has=share(executors=3, cores=2, executor_mb=8000, driver_mb=2048))
    assert large.histograms_mb == 256


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (
            {"columns": 196_608, "executor_mb": 450},
            r"takes 1 MiB for each task of an executor, and there are 0",
        ),
        (
            {"rows": 28_000, "trees": 500},
            r"500 trees may take [\d,]+ MiB of the driver's heap, which has 2,048",
        ),
    ],
)
def test_what_does_not_fit_into_sparks_heaps_is_refused_in_one_line(module, other, said):
    share = {"executors": 3, "cores": 2, "executor_mb": other.pop("executor_mb", 812), "driver_mb": 2048}
    found = need(module, **other, has=module("together").Share(**share)).shortage()
    assert re.search(said, found) and "engine=sklearn" in found and "\n" not in found
