"""Which image goes into which part."""

from __future__ import annotations

import pytest
from dealing import chunk, deal
from tasks import Image, Options, Task

from muster_node import sets


@pytest.mark.parametrize(
    ("names", "lengths"), [(1000, [125] * 8), (20_000, [253] * 79), (3, [1, 1, 1]), (0, [])]
)
def test_parts_are_even_and_grow_with_the_data(names, lengths):
    images = [f"{number:05d}" for number in range(names)]
    parts = chunk(images, most=256, parts_at_least=8)
    assert [name for part in parts for name in part] == images
    assert len(parts) == len(lengths)
    assert all(abs(len(part) - length) <= 1 for part, length in zip(parts, lengths, strict=True))


def test_every_image_has_its_label_and_its_subject():
    names = [f"{number}_{side}.png" for number in range(10) for side in ("left", "right")]
    labels = {name: ("dog", "cat")[number % 2] for number, name in enumerate(names[:-2])}
    tasks, numbers = deal({name: Image(name) for name in names}, labels, Options("eyes"), (16, 64))
    assert numbers == {"cat": 0, "dog": 1}
    assert {task.sizes for task in tasks} == {(16, 64)}
    dealt = {image.name: image for task in tasks for image in task.images}
    assert set(dealt) == set(names)
    assert dealt["3_left.png"] == Image("3_left.png", "1", "3")
    test = [image for task in tasks for image in task.images if task.part == sets.TEST]
    assert test == [Image("9_left.png", "", "9"), Image("9_right.png", "", "9")]


def dealt_to(part: str, tasks: list[Task]) -> list[Image]:
    return [image for task in tasks for image in task.images if task.part == part]


def test_several_labels_are_numbers_joined():
    labels = {"a.png": "cat|dog", "b.png": "dog"}
    tasks, numbers = deal({name: Image(name) for name in labels}, labels, Options("pets"), (16,))
    assert numbers == {"cat": 0, "dog": 1}
    assert sorted(image.label for task in tasks for image in task.images) == ["0|1", "1"]


def test_a_sample_is_of_all_images_and_balance_is_for_training_alone():
    names = [f"{number}.png" for number in range(300)]
    images = {name: Image(name) for name in names}
    labels = {name: str(number % 10 == 0) for number, name in enumerate(names[:200])}
    tasks, _ = deal(images, labels, Options("eyes", sample=0.5), (16,))
    assert len(dealt_to(sets.TRAIN, tasks)) + len(dealt_to(sets.HOLDOUT, tasks)) == 100
    assert len(dealt_to(sets.TEST, tasks)) == 50
    balanced, _ = deal(images, labels, Options("eyes", balance="subsample"), (16,))
    whole, _ = deal(images, labels, Options("eyes"), (16,))
    assert dealt_to(sets.HOLDOUT, balanced) == dealt_to(sets.HOLDOUT, whole)
    assert [image.label for image in dealt_to(sets.TRAIN, balanced)].count("0") == 16
    assert len(dealt_to(sets.TRAIN, balanced)) == 32


def test_a_part_of_augmented_images_has_fewer_of_them():
    names = [f"{number}.png" for number in range(1000)]
    images, labels = {name: Image(name) for name in names}, dict.fromkeys(names, "1")
    tasks, _ = deal(images, labels, Options("eyes", augment=True), (16,))
    assert max(len(task.images) for task in tasks if task.part == sets.TRAIN) == 32
    assert max(len(task.images) for task in tasks if task.part == sets.HOLDOUT) == 100


def test_the_id_of_a_row_is_the_whole_name():
    names = ["001.png", "left/001.png", "right/001.png", "a.png"]
    tasks, _ = deal({name: Image(name) for name in names}, {"a.png": "1"}, Options("eyes"), (16,))
    ids = [image.first for task in tasks if task.part == sets.TEST for image in task.images]
    assert ids == ["001.png", "left/001.png", "right/001.png"]


def test_a_set_may_have_a_split_of_its_own():
    names = [f"{part}_{number}.png" for part in ("train", "heldout") for number in range(30)]
    labels = {name: name[-5] for name in names}
    tasks, _ = deal({name: Image(name) for name in names}, labels, Options("x"), (16,), "heldout_")
    assert {image.name for image in dealt_to(sets.HOLDOUT, tasks)} == set(names[30:])
    assert {image.name for image in dealt_to(sets.TRAIN, tasks)} == set(names[:30])
    half, _ = deal({name: Image(name) for name in names}, labels, Options("x", sample=0.5), (16,), "heldout_")
    assert len(dealt_to(sets.HOLDOUT, half)) + len(dealt_to(sets.TRAIN, half)) == 30
    assert all(image.name.startswith("heldout_") for image in dealt_to(sets.HOLDOUT, half))
