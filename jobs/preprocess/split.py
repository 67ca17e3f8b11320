"""Which image goes where: pure functions, the same answer for the same names, labels and seed."""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping

from muster_node.sets import split_labels
from muster_node.subjects import subjects_of

# Fewer subjects with the same several labels are dealt as those of the rarest of these labels.
FEW = 10


def sides(
    labels: Mapping[str, str], *, percent: int, seed: int, subject: str | None = None
) -> tuple[list[str], list[str]]:
    """Split image names into (train, holdout), both sorted; all images of a subject are on one side.

    Each class gives its share of the hold-out part, see `strata`. With two or more subjects neither side is
    empty.

    Args:
        labels: by image; several of one are joined.
        percent: of the subjects that are held out.
        seed: decides which.
        subject: see `subjects_of`.

    Raises:
        BadPattern: `subject` is none.
    """
    groups = _groups(subjects_of(sorted(labels), subject))
    classes = strata(labels, groups)
    wished = shares({label: len(members) for label, members in classes.items()}, percent)
    held = [
        each
        for label, members in classes.items()
        for each in _drawn(members, f"{seed}/{label}")[: wished[label]]
    ]
    holdout = sorted(name for each in held for name in groups[each])
    return sorted(set(labels).difference(holdout)), holdout


def apart(names: Iterable[str], held: str) -> tuple[list[str], list[str]]:
    """Split image names into (train, holdout), both sorted: those that begin with `held` are held out."""
    every = sorted(names)
    return [name for name in every if not name.startswith(held)], [
        name for name in every if name.startswith(held)
    ]


def sample(labels: Mapping[str, str], share: float, seed: int, subject: str | None = None) -> list[str]:
    """Return a share of the images, sorted: whole subjects, of each class its part, every label.

    Args:
        labels: by image; several of one are joined.
        share: of the subjects, above 0; from 1 on all.
        seed: decides which.
        subject: see `subjects_of`.

    Raises:
        BadPattern: `subject` is none.
    """
    if share >= 1:
        return sorted(labels)
    groups = _groups(subjects_of(sorted(labels), subject))
    classes = {
        label: _drawn(members, f"{seed}/sample/{label}") for label, members in strata(labels, groups).items()
    }
    wished = shares({label: len(members) for label, members in classes.items()}, share * 100)
    drawn = [each for label, members in classes.items() for each in members[: max(wished[label], 1)]]
    seen = {label for each in drawn for label in _labels_in(groups[each], labels)}
    for each in (each for members in classes.values() for each in members):
        if lacking := _labels_in(groups[each], labels) - seen:
            drawn.append(each)
            seen |= lacking
    return sorted(name for each in drawn for name in groups[each])


def subsample(labels: Mapping[str, str], seed: int, subject: str | None = None) -> list[str]:
    """Return images, sorted, whose classes are as near to the smallest one's size as whole subjects allow.

    No class has more images than the smallest had, but where one subject alone has more of it, or is the
    first with another of its labels: no class vanishes.

    Args:
        labels: by image; several of one are joined.
        seed: decides which images of a large class stay.
        subject: see `subjects_of`.

    Raises:
        BadPattern: `subject` is none.
    """
    groups = _groups(subjects_of(sorted(labels), subject))
    sizes = Counter(label for joined in labels.values() for label in split_labels(joined))
    most = min(sizes.values(), default=0)
    order = sorted(
        _drawn(groups, f"{seed}/balance"),
        key=lambda each: min(sizes[label] for label in _labels_in(groups[each], labels)),
    )
    taken: Counter[str] = Counter()
    kept: list[str] = []
    for each in order:
        more = Counter(label for name in groups[each] for label in split_labels(labels[name]))
        new = any(not taken[label] for label in more)
        if new or all(taken[label] + count <= most for label, count in more.items()):
            taken += more
            kept += groups[each]
    return sorted(kept)


def class_weights(counts: Mapping[str, int]) -> dict[str, float]:
    """Return the weight of each class with which all count alike: rows / (classes x rows of the class).

    A class without rows has none.
    """
    there = {name: count for name, count in counts.items() if count}
    total = sum(there.values())
    return {name: total / (len(there) * count) for name, count in there.items()}


def strata(labels: Mapping[str, str], groups: Mapping[str, Collection[str]]) -> dict[str, list[str]]:
    """Return the subjects of each class, in order; a subject counts as the largest of its images' labels.

    Where images have several labels the set of them is the class, or the rarest of them when fewer than FEW
    subjects have that set.
    """
    sizes = Counter(label for joined in labels.values() for label in split_labels(joined))
    largest = {each: max(labels[name] for name in names) for each, names in groups.items()}
    alike = Counter(largest.values())
    found: dict[str, list[str]] = defaultdict(list)
    for each, joined in sorted(largest.items()):
        rarest = min(split_labels(joined), key=lambda label: (sizes[label], label))
        found[joined if alike[joined] >= FEW else rarest].append(each)
    return dict(sorted(found.items()))


def _groups(subjects: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the images of each subject, in order."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, each in subjects.items():
        found[each].append(name)
    return dict(sorted(found.items()))


def _drawn(members: Iterable[str], seed: str) -> list[str]:
    """Return members in the order in which they are drawn."""
    shuffled = sorted(members)
    random.Random(seed).shuffle(shuffled)  # noqa: S311  repeatable, not secret
    return shuffled


def _labels_in(names: Iterable[str], labels: Mapping[str, str]) -> set[str]:
    return {label for name in names for label in split_labels(labels[name])}


def shares(counts: Mapping[str, int], percent: float) -> dict[str, int]:
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


def class_numbers(labels: Iterable[str]) -> dict[str, int]:
    """Map labels to numbers: whole numbers stay what they are, names are numbered in alphabetical order.

    Several labels of an image, which are joined, count one by one.
    """
    distinct = sorted({label for joined in labels for label in split_labels(joined)})
    if all(re.fullmatch(r"\d{1,9}", label) for label in distinct):
        return {label: int(label) for label in distinct}
    return {label: number for number, label in enumerate(distinct)}
