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
IMAGE = "muster:image"
"""Of an image of one's own and its snapshots: the image's name."""
BASE = "muster:base"
"""Of these: the id of the image that it was made from."""
ARCHITECTURE = "muster:architecture"
GPU = "muster:gpu"
LABEL = "muster:label:"
NAME = "Name"
OWN_NAME = f"{LABEL}name"
"""A machine's own name, written right after its order; NAME shows it to whoever looks at AWS's console."""
POWEROFF = "poweroff"
"""Label: what becomes of a machine that powers itself off, a key of SHUTDOWN."""
SHUTDOWN = {"delete": "terminate", "stay": "stop"}
"""What AWS calls it."""
VALUE_LIMIT = 256
"""Characters of a tag's value."""


def of_cluster(cluster: ClusterIdentity) -> dict[str, str]:
    """Return the tags of everything that belongs to a cluster."""
    return {CLUSTER: cluster.name, CLUSTER_ID: cluster.id}


def of_request(request: CreateRequest, *, recipe: str, own: Mapping[str, str]) -> dict[str, str]:
    """Return the tags of all machines of one call.

    They are the same for each of them: which has which of the names is decided once all are listed.

    Args:
        request: the call.
        recipe: key of the recipe that the image was made from ('' = a base image).
        own: the user's tags.
    """
    single = len(request.names) == 1
    all_of_them = machine_name(request.cluster.name, request.group.name, 0).removesuffix("-0")
    numbers = numbers_to_text([machine_number(name) for name in request.names])
    return {
        **own,
        **of_cluster(request.cluster),
        **(as_named(request.names[0]) if single else {NAME: all_of_them}),
        GROUP: request.group.name,
        TOKEN: request.token,
        RECIPE: recipe,
        **{f"{NUMBERS}{part or ''}": text for part, text in enumerate(_parts(numbers))},
        **{f"{LABEL}{key}": value for key, value in request.labels.items()},
    }


def names_of(machines: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return the names of machines, by their ids; '' for those that are not ours.

    A machine keeps the name that was written on it. The others of its order get the names that are left, in
    the order of their ids, which is the same whoever looks, once all of an order are listed. One too many (a
    copy made by hand has its tags) gets a name for the second time: it bills, and whoever plans refuses it.

    Args:
        machines: tags by id; of each order all that AWS lists.
    """
    orders: dict[str, list[str]] = {}
    for own in sorted(machines):
        orders.setdefault(machines[own].get(TOKEN, ""), []).append(own)
    found: dict[str, str] = {}
    for ids in orders.values():
        wanted = _wanted(machines[ids[0]])
        left = dict.fromkeys(wanted, True)
        named = {own: name for own in ids if (name := _written(machines[own])) and left.pop(name, False)}
        free, again = iter(left), wanted[-1] if wanted else ""
        found |= {own: named.get(own) or next(free, again) for own in ids}
    return found


def as_named(name: str) -> dict[str, str]:
    """Return the tags that say a machine's own name."""
    return {OWN_NAME: name, NAME: name}


def _written(tags: Mapping[str, str]) -> str:
    return tags.get(OWN_NAME) or tags.get(NAME, "")  # the latter alone, on machines of an earlier version


def _wanted(tags: Mapping[str, str]) -> list[str]:
    """Return the names of an order's machines, in ascending order; [] when the tags are not ours."""
    if CLUSTER not in tags or GROUP not in tags:
        return []
    parts = sorted((key for key in tags if key.startswith(NUMBERS)), key=lambda key: (len(key), key))
    numbers = numbers_from_text(",".join(tags[key] for key in parts))
    return [machine_name(tags[CLUSTER], tags[GROUP], number) for number in numbers]


def labels_of(tags: Mapping[str, str]) -> dict[str, str]:
    """Return what `Provider.label` and the order have written."""
    own = {key.removeprefix(LABEL): value for key, value in tags.items() if key.startswith(LABEL)}
    own.pop("name", None)  # the machine's own, which is no label of it
    return own


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
