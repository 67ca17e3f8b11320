"""Which image goes into which part: pure, the same answer for the same names, labels and options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from split import apart, class_numbers, sample, sides, subsample
from tasks import COPIES, Image, Options, Task

from muster_node.sets import HOLDOUT, LABEL_SEPARATOR, TEST, TRAIN, split_labels
from muster_node.subjects import subjects_of

PART_ROWS = 256
"""Rows of a part: some 30 MB of gzipped CSV of the largest pictures, a minute's work of one core."""
PARTS = {TRAIN: 8, HOLDOUT: 2, TEST: 4}
"""Parts of a small set: enough that every core of a small cluster has one."""


def deal(
    images: Mapping[str, Image],
    labels: Mapping[str, str],
    options: Options,
    sizes: Sequence[int],
    held: str = "",
) -> tuple[list[Task], dict[str, int]]:
    """Decide which image goes into which part; return the tasks and the number of each class.

    `held`: what the names of images begin with that are held out; '' = the options decide. Raises BadPattern.
    """
    known = {name: label for name, label in labels.items() if name in images}
    numbers = class_numbers(known.values())
    labelled = _sampled(known, options)
    if held:
        train, holdout = apart(labelled, held)
    else:
        train, holdout = sides(
            labelled, percent=options.holdout_percent, seed=options.seed, subject=options.subject
        )
    if options.balance == "subsample":
        train = subsample({name: labelled[name] for name in train}, options.seed, options.subject)
    test = sorted(_sampled(dict.fromkeys(set(images) - set(known), ""), options))
    subjects = subjects_of(sorted(labelled), options.subject) | subjects_of(test, options.subject)
    tasks = []
    for part, names in ((TRAIN, train), (HOLDOUT, holdout), (TEST, test)):
        most = PART_ROWS // COPIES if options.augment and part == TRAIN else PART_ROWS
        for number, members in enumerate(chunk(names, most=most, parts_at_least=PARTS[part])):
            row = tuple(
                replace(
                    images[name],
                    label=_label(labelled[name], numbers) if name in labelled else "",
                    subject=subjects[name],
                )
                for name in members
            )
            tasks.append(Task(part, number, tuple(sizes), row))
    return tasks, numbers


def _sampled(labels: Mapping[str, str], options: Options) -> dict[str, str]:
    return {name: labels[name] for name in sample(labels, options.sample, options.seed, options.subject)}


def _label(joined: str, numbers: Mapping[str, int]) -> str:
    """Return the number of a class, of several the numbers joined."""
    return LABEL_SEPARATOR.join(map(str, sorted(numbers[label] for label in split_labels(joined))))


def chunk(names: Sequence[str], *, most: int, parts_at_least: int) -> list[list[str]]:
    """Cut names into parts of nearly equal length; neighbours, often of one archive, stay together.

    A part has at most `most` names; there are `parts_at_least` parts, but never more than names.
    """
    count = min(max(-(-len(names) // most), parts_at_least), len(names))
    bounds = [len(names) * number // count for number in range(count + 1)] if count else [0]
    return [list(names[start:end]) for start, end in pairwise(bounds)]
