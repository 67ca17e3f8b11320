from __future__ import annotations

import random
from collections import Counter

import pytest
from split import (
    class_numbers,
    class_weights,
    sample,
    shares,
    sides,
    strata,
    subsample,
)

from muster_node.sets import join_labels
from muster_node.subjects import subjects_of

SEEDS = range(8)


def labels_of(count: int, classes: int) -> dict[str, str]:
    return {f"image_{number:04d}.png": str(number % classes) for number in range(count)}


def any_labels(seed: int, *, several: bool = False) -> dict[str, str]:
    """Eyes of some subjects, with classes of very unlike size, in any order; both eyes may differ."""
    dice = random.Random(seed)  # noqa: S311
    classes = ["none", "mild", "severe", "rare"][: dice.randint(2, 4)]
    found = {}
    for number in range(dice.randint(20, 300)):
        for side in ("left", "right")[: dice.randint(1, 2)]:
            drawn = dice.choices(
                classes, [60, 20, 8, 2][: len(classes)], k=dice.randint(1, 3) if several else 1
            )
            found[f"{dice.choice(('', 'b/'))}{number}_{side}.jpeg"] = join_labels(drawn)
    names = list(found)
    dice.shuffle(names)
    return {name: found[name] for name in names}


def reordered(labels: dict[str, str]) -> dict[str, str]:
    return dict(reversed(labels.items()))


def subjects_in(names) -> set[str]:
    return {name.rpartition("/")[2].rpartition("_")[0] for name in names}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("several", [False, True])
def test_no_subject_is_on_both_sides_and_nothing_is_lost(seed, several):
    labels = any_labels(seed, several=several)
    for subject in (None, "(.+)_(left|right)", "([0-9]+)_.*"):
        train, holdout = sides(labels, percent=20, seed=seed, subject=subject)
        assert sorted(train + holdout) == sorted(labels) and train and holdout
        assert not subjects_in(train) & subjects_in(holdout)
        assert sides(reordered(labels), percent=20, seed=seed, subject=subject) == (train, holdout)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("several", [False, True])
def test_each_class_keeps_its_share_within_one_subject(seed, several):
    labels = any_labels(seed, several=several)
    groups: dict[str, list[str]] = {}
    for name, subject in subjects_of(list(labels)).items():
        groups.setdefault(subject, []).append(name)
    holdout = set(sides(labels, percent=20, seed=seed)[1])
    for members in strata(labels, groups).values():
        held = sum(groups[subject][0] in holdout for subject in members)
        assert abs(held - len(members) * 0.2) < 1.2


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("share", [0.05, 0.5])
def test_a_sample_has_whole_subjects_and_every_label(seed, several, share):
    labels = any_labels(seed, several=several)
    drawn = sample(labels, share, seed)
    assert drawn == sample(reordered(labels), share, seed) == sorted(set(drawn))
    assert not subjects_in(drawn) & subjects_in(set(labels) - set(drawn))
    assert {label for name in drawn for label in labels[name].split("|")} == {
        label for joined in labels.values() for label in joined.split("|")
    }
    subjects = len(subjects_in(labels))
    assert subjects * share - 1 < len(subjects_in(drawn)) <= subjects * share + 13


def test_a_sample_keeps_the_shares_of_large_classes():
    labels = {f"{n}_{side}.jpeg": "0" if n % 4 else "1" for n in range(2000) for side in ("left", "right")}
    assert Counter(labels[name] for name in sample(labels, 0.05, 3)) == {"0": 150, "1": 50}
    assert sample(labels, 0.05, 3) != sample(labels, 0.05, 4)
    assert sample(labels, 1, 3) == sorted(labels)
    assert sample({"a.png": ""}, 0.05, 1) == ["a.png"] and sample({}, 0.05, 1) == []


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("several", [False, True])
def test_balanced_classes_are_as_large_as_the_smallest_within_one_subject(seed, several):
    labels = any_labels(seed, several=several)
    kept = subsample(labels, seed)
    assert kept == subsample(reordered(labels), seed) == sorted(set(kept))
    assert not subjects_in(kept) & subjects_in(set(labels) - set(kept))
    sizes = Counter(label for joined in labels.values() for label in joined.split("|"))
    left = Counter(label for name in kept for label in labels[name].split("|"))
    assert set(left) == set(sizes)
    assert max(left.values()) <= min(sizes.values()) + 1


def test_balance_of_single_images_is_exact():
    labels = {f"{n}.png": "01123333"[n % 8] for n in range(800)}
    assert Counter(labels[name] for name in subsample(labels, 7)) == dict.fromkeys("0123", 100)
    assert subsample(labels, 7) != subsample(labels, 8)


def test_weights_make_all_classes_count_alike():
    weights = class_weights({"0": 60, "1": 30, "2": 10, "3": 0})
    assert weights == {
        "0": pytest.approx(100 / 180),
        "1": pytest.approx(100 / 90),
        "2": pytest.approx(100 / 30),
    }
    assert class_weights({}) == {}


def test_classes_keep_their_shares_and_nothing_is_lost():
    labels = labels_of(1797, 10)
    train, holdout = sides(labels, percent=20, seed=1)
    assert sorted(train + holdout) == sorted(labels) and len(holdout) == 359
    counts = Counter(labels[name] for name in holdout)
    assert max(counts.values()) - min(counts.values()) <= 1


def test_the_seed_decides():
    labels = labels_of(100, 2)
    assert sides(labels, percent=20, seed=1) != sides(labels, percent=20, seed=2)


def test_both_eyes_of_a_subject_stay_on_one_side():
    labels = {f"{n}_{side}.jpeg": str(n % 3) for n in range(50) for side in ("left", "right")}
    train, holdout = sides(labels, percent=20, seed=1)
    assert not subjects_in(train) & subjects_in(holdout) and len(holdout) == 20
    apart = sides(labels, percent=20, seed=1, subject="(.+)")[1]
    assert subjects_in(apart) & subjects_in(set(labels) - set(apart))


@pytest.mark.parametrize("count", [2, 3, 4, 7])
def test_small_sets_have_something_on_both_sides(count):
    train, holdout = sides(labels_of(count, 2), percent=20, seed=1)
    assert train and holdout


def test_one_image_is_for_training():
    assert sides(labels_of(1, 1), percent=20, seed=1) == (["image_0000.png"], [])


def test_sets_of_labels_that_few_have_are_dealt_by_the_rarest_label():
    labels = (
        {f"{n}.png": "a|b" for n in range(20)} | {f"x{n}.png": "a|c" for n in range(3)} | {"y.png": "b|c"}
    )
    found = strata(labels, {name: [name] for name in labels})
    assert {label: len(members) for label, members in found.items()} == {"a|b": 20, "c": 4}


def test_shares_add_up():
    assert shares({"a": 7, "b": 2, "c": 1}, 20) == {"a": 1, "b": 1, "c": 0}


def test_labels_become_numbers():
    assert class_numbers(["4", "0", "4"]) == {"0": 0, "4": 4}
    assert class_numbers(["dog", "cat", "4"]) == {"4": 0, "cat": 1, "dog": 2}
    assert class_numbers(["cat|dog", "eel", "dog"]) == {"cat": 0, "dog": 1, "eel": 2}
    assert class_numbers(["7|3", "0"]) == {"0": 0, "3": 3, "7": 7}


def test_no_class_vanishes_from_a_balanced_set():
    labels = {"1": "common|rare", "2": "common|other", "3": "common|other", "4": "common"}
    kept = subsample(labels, 1)
    assert {label for name in kept for label in labels[name].split("|")} == {"common", "rare", "other"}
