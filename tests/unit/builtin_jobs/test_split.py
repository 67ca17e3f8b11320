from __future__ import annotations

from collections import Counter

import pytest
from split import chunk, class_numbers, shares, split, subject_of


def labels_of(count: int, classes: int) -> dict[str, str]:
    return {f"image_{number:04d}.png": str(number % classes) for number in range(count)}


def test_classes_keep_their_shares_and_nothing_is_lost():
    labels = labels_of(1797, 10)
    train, holdout = split(labels, percent=20, seed=1)
    assert sorted(train + holdout) == sorted(labels) and len(holdout) == 359
    counts = Counter(labels[name] for name in holdout)
    assert max(counts.values()) - min(counts.values()) <= 1


def test_the_seed_decides():
    labels = labels_of(100, 2)
    assert split(labels, percent=20, seed=1) == split(dict(reversed(labels.items())), percent=20, seed=1)
    assert split(labels, percent=20, seed=1) != split(labels, percent=20, seed=2)


def test_both_eyes_of_a_subject_stay_on_one_side():
    labels = {f"{n}_{side}.jpeg": str(n % 3) for n in range(50) for side in ("left", "right")}
    train, holdout = split(labels, percent=20, seed=1)
    assert not {subject_of(name) for name in train} & {subject_of(name) for name in holdout}
    assert len(holdout) == 20
    apart = split(labels, percent=20, seed=1, split_by="image")[1]
    assert {subject_of(name) for name in apart} & {subject_of(name) for name in labels if name not in apart}


def test_subjects_are_not_guessed_from_other_names():
    labels = {"10_left.png": "0", "cat.png": "1", "10_right.png": "0", "dog.png": "1"}
    assert len(split(labels, percent=50, seed=1)[1]) == 2


@pytest.mark.parametrize("count", [2, 3, 4, 7])
def test_small_sets_have_something_on_both_sides(count):
    train, holdout = split(labels_of(count, 2), percent=20, seed=1)
    assert train and holdout


def test_one_image_is_for_training():
    assert split(labels_of(1, 1), percent=20, seed=1) == (["image_0000.png"], [])


def test_shares_add_up():
    assert shares({"a": 7, "b": 2, "c": 1}, 20) == {"a": 1, "b": 1, "c": 0}


def test_labels_become_numbers():
    assert class_numbers(["4", "0", "4"]) == {"0": 0, "4": 4}
    assert class_numbers(["dog", "cat", "4"]) == {"4": 0, "cat": 1, "dog": 2}


def test_parts_are_even_and_grow_with_the_data():
    names = [f"{number:05d}" for number in range(1000)]
    parts = chunk(names, values=256, parts_at_least=8)
    assert [len(part) for part in parts] == [125] * 8 and [name for part in parts for name in part] == names
    assert len(chunk(names, values=256 * 256 * 3, parts_at_least=8)) == 15
    assert chunk(["a"], values=1, parts_at_least=8) == [["a"]] and chunk([], values=1, parts_at_least=8) == []
