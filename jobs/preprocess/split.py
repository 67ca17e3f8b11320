"""Which image goes where: pure functions, the same answer for the same names, labels and seed."""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import PurePosixPath

SUBJECT = re.compile(r"(?P<subject>.+)_(left|right)")
# A part file holds about this many bytes of CSV text; more parts than that only so that all cores have work.
PART_BYTES = 48 << 20
BYTES_PER_VALUE = 3.6


def stem(name: str) -> str:
    """The image's name without folder and suffix."""
    return PurePosixPath(name).stem


def subject_of(name: str) -> str:
    """The subject an image belongs to: `10_left.jpeg` and `10_right.jpeg` are both of subject `10`."""
    match = SUBJECT.fullmatch(stem(name))
    return match["subject"] if match else stem(name)


def group_key(names: Sequence[str], split_by: str) -> Mapping[str, str]:
    """Map each name to what must stay together.

    `split_by`: `image` (nothing), `subject`, or `auto` (subject when every name is `<subject>_left|right`).
    """
    by_subject = split_by == "subject" or (
        split_by == "auto" and bool(names) and all(SUBJECT.fullmatch(stem(name)) for name in names)
    )
    return {name: subject_of(name) if by_subject else name for name in names}


def split(
    labels: Mapping[str, str], *, percent: int, seed: int, split_by: str = "auto"
) -> tuple[list[str], list[str]]:
    """Split image names into (train, holdout), both sorted.

    Each class gives its share of the hold-out part; a subject counts as the largest of its labels. With two
    or more images (or subjects) neither side is empty.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for name, group in group_key(sorted(labels), split_by).items():
        groups[group].append(name)
    classes: dict[str, list[str]] = defaultdict(list)
    for group, names in sorted(groups.items()):
        classes[max(labels[name] for name in names)].append(group)
    wished = shares({label: len(members) for label, members in classes.items()}, percent)
    held: set[str] = set()
    for label, members in sorted(classes.items()):
        shuffled = list(members)
        random.Random(f"{seed}/{label}").shuffle(shuffled)  # noqa: S311  repeatable, not secret
        held.update(shuffled[: wished[label]])
    holdout = sorted(name for group in held for name in groups[group])
    return sorted(set(labels) - set(holdout)), holdout


def shares(counts: Mapping[str, int], percent: int) -> dict[str, int]:
    """How many of each class to hold out: `percent` of all, spread by the largest remainder."""
    total = sum(counts.values())
    wanted = min(max(round(total * percent / 100), 1), total - 1) if total > 1 and percent else 0
    exact = {label: count * wanted / total if total else 0.0 for label, count in counts.items()}
    result = {label: int(share) for label, share in exact.items()}
    for label in sorted(exact, key=lambda name: (result[name] - exact[name], name))[
        : wanted - sum(result.values())
    ]:
        result[label] += 1
    return result


def class_numbers(labels: Sequence[str]) -> dict[str, int]:
    """Map labels to numbers: whole numbers stay what they are, names are numbered in alphabetical order."""
    distinct = sorted(set(labels))
    if all(re.fullmatch(r"\d{1,9}", label) for label in distinct):
        return {label: int(label) for label in distinct}
    return {label: number for number, label in enumerate(distinct)}


def chunk(names: Sequence[str], *, values: int, parts_at_least: int) -> list[list[str]]:
    """Cut names into part files of nearly equal length; neighbours, often of one archive, stay together.

    Args:
        names: what to cut, in order.
        values: numbers in one row.
        parts_at_least: so many parts even when the data is small (never more than there are names).
    """
    by_size = -(-int(len(names) * values * BYTES_PER_VALUE) // PART_BYTES)
    count = min(max(by_size, parts_at_least), len(names))
    bounds = [len(names) * number // count for number in range(count + 1)] if count else [0]
    return [list(names[start:end]) for start, end in pairwise(bounds)]


def class_counts(labels: Sequence[int]) -> dict[str, int]:
    """Rows of each class, by its number as text (a JSON key)."""
    return {str(label): count for label, count in sorted(Counter(labels).items())}
