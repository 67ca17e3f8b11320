"""Tags: by them machines are found again, from anywhere, and know their names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from provision.core.model import ClusterIdentity, CreateRequest
from provision.core.names import machine_name, machine_number

CLUSTER = "muster:cluster"
CLUSTER_ID = "muster:cluster-id"
GROUP = "muster:group"
TOKEN = "muster:token"  # noqa: S105  (a tag's name)
NUMBERS = "muster:numbers"
RECIPE = "muster:recipe"
GPU = "muster:gpu"
LABEL = "muster:label:"
NAME = "Name"
VALUE_LIMIT = 256
"""Characters of a tag's value."""


def of_cluster(cluster: ClusterIdentity) -> dict[str, str]:
    """Return the tags of everything that belongs to a cluster."""
    return {CLUSTER: cluster.name, CLUSTER_ID: cluster.id}


def of_request(request: CreateRequest, *, recipe: str, own: Mapping[str, str]) -> dict[str, str]:
    """Return the tags of all machines of one call.

    They are the same for each of them, whose place in the call (its launch index) then tells its name.

    Args:
        request: the call.
        recipe: key of the recipe that the image was made from ('' = a base image).
        own: the user's tags.
    """
    name = (
        request.names[0]
        if len(request.names) == 1
        else machine_name(request.cluster.name, request.group.name, 0)
    )
    numbers = numbers_to_text([machine_number(name) for name in request.names])
    return {
        **own,
        **of_cluster(request.cluster),
        NAME: name.removesuffix("-0"),
        GROUP: request.group.name,
        TOKEN: request.token,
        RECIPE: recipe,
        **{f"{NUMBERS}{part or ''}": text for part, text in enumerate(_parts(numbers))},
        **{f"{LABEL}{key}": value for key, value in request.labels.items()},
    }


def name_of(tags: Mapping[str, str], index: int) -> str:
    """Return the name of the machine with this launch index; '' when the tags are not ours."""
    parts = sorted((key for key in tags if key.startswith(NUMBERS)), key=lambda key: (len(key), key))
    numbers = numbers_from_text(",".join(tags[key] for key in parts))
    if CLUSTER not in tags or GROUP not in tags or index >= len(numbers):
        return ""
    return machine_name(tags[CLUSTER], tags[GROUP], numbers[index])


def labels_of(tags: Mapping[str, str]) -> dict[str, str]:
    """Return what `Provider.label` and the order have written."""
    return {key.removeprefix(LABEL): value for key, value in tags.items() if key.startswith(LABEL)}


def from_aws(tags: Iterable[Any]) -> dict[str, str]:
    """Return AWS's list as a mapping."""
    return {tag["Key"]: tag["Value"] for tag in tags}


def to_aws(tags: Mapping[str, str]) -> list[Any]:
    """Return a mapping as AWS's list, always in the same order: a repeated order has the same bytes."""
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def where(**filters: str | Sequence[str]) -> list[Any]:
    """Return AWS's filters; `_` in a name stands for `-`."""
    return [
        {"Name": name.replace("_", "-"), "Values": [value] if isinstance(value, str) else list(value)}
        for name, value in filters.items()
    ]


def tagged(tags: Mapping[str, str]) -> list[Any]:
    """Return AWS's filters for things that have these tags."""
    return [{"Name": f"tag:{key}", "Values": [value]} for key, value in tags.items()]


def numbers_to_text(numbers: Sequence[int]) -> str:
    """Return ascending numbers as `1-3,5`."""
    if not numbers:
        return ""
    starts = [numbers[0], *(b for a, b in pairwise(numbers) if b != a + 1)]
    ends = [*(a for a, b in pairwise(numbers) if b != a + 1), numbers[-1]]
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in zip(starts, ends, strict=True))


def numbers_from_text(text: str) -> list[int]:
    """Return the numbers of `1-3,5`."""
    found: list[int] = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def _parts(text: str) -> list[str]:
    """Cut a list at its commas into pieces that fit a tag."""
    parts: list[str] = [""]
    for piece in text.split(","):
        longer = f"{parts[-1]},{piece}" if parts[-1] else piece
        if len(longer) > VALUE_LIMIT:
            parts.append(piece)
        else:
            parts[-1] = longer
    return parts
