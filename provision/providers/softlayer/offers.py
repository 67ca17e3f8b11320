"""What the account may order, and what it costs: refused before anything is ordered, in one line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any

from provision.core.errors import NotReady
from provision.core.model import Price
from provision.core.spec import NodeGroup
from provision.providers.softlayer.guests import dig
from provision.providers.softlayer.templates import ROOT_DEVICE, Wish

HOURS_A_MONTH = 730
_FEW = 16

Options = dict[str, list[dict[str, Any]]]


def require(wish: Wish, group: NodeGroup, options: Options, file: str) -> None:
    """Compare a wish with the API's create options. Raises NotReady: the first thing that is not offered."""
    where = f"{file}: groups.{group.name}"
    if not wish.datacenters:
        raise NotReady(
            where=f"{file}: softlayer.datacenter",
            what="not set",
            remedy=f"Say where: {_some(_values(options, 'datacenters', 'datacenter', 'name'))}",
        )
    for name in wish.datacenters:
        _known(name, _values(options, "datacenters", "datacenter", "name"), where, "datacenter")
    if wish.flavor:
        flavors = _values(options, "flavors", "supplementalCreateObjectOptions", "flavorKeyName")
        _known(wish.flavor, flavors, where, "flavor")
    else:
        _size(wish.cores, _values(options, "processors", "startCpus"), where, "processors")
        memory = _values(options, "memory", "maxMemory")
        _size(wish.memory_mb, memory, where, "memory", lambda mb: f"{mb / 1024:g} GiB")
    if not wish.image:
        systems = _values(options, "operatingSystems", "operatingSystemReferenceCode")
        _known(wish.os, systems, where, "operating system")
    _size(wish.speed, _speeds(options), where, "network speed", lambda speed: f"{speed} Mbit/s")
    for device, size in wish.disks.items():
        what = "first disk" if device == ROOT_DEVICE else "data disk"
        _size(size, _disks(options, device, local=wish.local_disk), where, what, lambda gb: f"{gb} GB")


def price(container: dict[str, Any], *, hourly: bool) -> Price | None:
    """Return the price that is in a verified order; None when there is none."""
    kind = (
        ("preTaxRecurringHourly", "hourlyRecurringFee")
        if hourly
        else ("preTaxRecurringMonthly", "recurringFee")
    )
    total = float(container.get(kind[0]) or 0)
    if not total:
        total = sum(float(each.get(kind[1]) or 0) for each in container.get("prices") or [])
    if not total:
        return None
    each_hour = total if hourly else total / HOURS_A_MONTH
    return Price(
        hourly=round(each_hour, 4), source=f"SoftLayer's own price, {datetime.now(tz=UTC).date().isoformat()}"
    )


def _templates(options: Options, category: str) -> list[dict[str, Any]]:
    return [each.get("template") or {} for each in options.get(category) or []]


def _speeds(options: Options) -> set[Any]:
    found = _templates(options, "networkComponents")
    return {speed.get("maxSpeed") for each in found for speed in each.get("networkComponents") or []}


def _values(options: Options, category: str, *path: str) -> set[Any]:
    return {value for each in _templates(options, category) if (value := dig(each, *path)) is not None}


def _disks(options: Options, device: str, *, local: bool) -> set[Any]:
    return {
        disk["diskImage"]["capacity"]
        for each in _templates(options, "blockDevices")
        if bool(each.get("localDiskFlag")) == local
        for disk in each.get("blockDevices") or []
        if str(disk.get("device")) == device
    }


def _known(value: str, offered: set[Any], where: str, what: str) -> None:
    """Raise NotReady unless `value` is offered; when the API names none at all, it will say so itself."""
    if offered and value not in offered:
        near = get_close_matches(value, [str(one) for one in offered], n=4, cutoff=0.4)
        raise NotReady(
            where=where,
            what=f"{value!r} is no {what} that SoftLayer offers this account",
            remedy=f"Did you mean {', '.join(near)}?" if near else f"Known: {_some(offered)}",
        )


def _size(value: int, offered: set[Any], where: str, what: str, words: Callable[[int], str] = str) -> None:
    sizes = sorted(int(one) for one in offered if one is not None)
    if sizes and value not in sizes:
        raise NotReady(
            where=where,
            what=f"{what}: {words(value)} is not offered by SoftLayer",
            remedy=f"Offered: {', '.join(words(one) for one in _around(value, sizes))}",
        )


def _around(value: int, sizes: Sequence[int]) -> Sequence[int]:
    """Return the sizes nearest to `value`, in order."""
    return sorted(sorted(sizes, key=lambda size: abs(size - value))[:_FEW])


def _some(values: Iterable[Any]) -> str:
    known = sorted(str(value) for value in values)
    return ", ".join(known[:_FEW]) + (", …" if len(known) > _FEW else "")
