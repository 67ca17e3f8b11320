"""What the account may order: chosen where the config leaves it open, refused before anything is ordered."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

from provision.core.errors import NotReady
from provision.core.spec import NodeGroup
from provision.providers.softlayer.guests import dig
from provision.providers.softlayer.templates import ROOT_DEVICE, Wish, flavor_size

_FEW, _MANY = 16, 60
_DEBIAN = re.compile(r"DEBIAN_13(?:[._](\d+))?_64")
"""Reference codes of the system that nodes run; which one IBM gave it, no public source tells."""
_FITTING = {False: re.compile(r"[BCM]1_\d+X\d+X\d+"), True: re.compile(r"[BCM]L[12]_\d+X\d+X\d+")}
"""Flavors for everybody, by whether their disks are local to the host: balanced, compute and memory."""

Options = dict[str, list[dict[str, Any]]]


def choose(wish: Wish, options: Options, where: str) -> Wish:
    """Return a wish with what the config left open: the system, and the smallest flavor that fits.

    An account that is offered no flavors at all gets cores and memory as they are wished.

    Raises:
        NotReady: nothing that is offered will do; the line tells what is.
    """
    systems = _values(options, "operatingSystems", "operatingSystemReferenceCode")
    if not wish.os and not wish.image:
        wish = replace(wish, os=_newest_debian(systems, where))
    flavors = _values(options, "flavors", "supplementalCreateObjectOptions", "flavorKeyName")
    if wish.flavor or wish.literal or not flavors:
        return wish
    return wish.with_flavor(_smallest(wish, flavors, where))


def _newest_debian(systems: set[Any], where: str) -> str:
    found = {match[0]: int(match[1] or 0) for code in systems if (match := _DEBIAN.fullmatch(str(code)))}
    if not found:
        raise NotReady(
            where=where,
            what="SoftLayer offers this account no Debian 13, which nodes run",
            remedy="Boot an image of your own that has it (`image:`); if one of those offered has it "
            f"under another name, write that as softlayer.os. Offered: {_some(systems, _MANY)}",
        )
    return max(found, key=lambda code: found[code])


def _smallest(wish: Wish, flavors: set[Any], where: str) -> str:
    family = _FITTING[wish.local_disk]
    sizes = {name: flavor_size(name) for name in map(str, flavors) if family.fullmatch(name)}
    least = {
        "cores": wish.cores,
        "memory_gb": wish.memory_mb / 1024,
        "disk_gb": wish.disks.get(ROOT_DEVICE, 0),
    }
    fitting = [name for name, size in sizes.items() if all(size[key] >= least[key] for key in least)]
    if not fitting:
        raise NotReady(
            where=where,
            what="no flavor that SoftLayer offers this account has {cores} cores, {memory_gb:g} GiB and a "
            "first disk of {disk_gb} GB".format(**least),
            remedy=f"Ask for less. Offered: {_some(sizes, _MANY)}",
        )
    return min(fitting, key=lambda name: (*sizes[name].values(), name))


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


def _some(values: Iterable[Any], most: int = _FEW) -> str:
    known = sorted(str(value) for value in values)
    return (", ".join(known[:most]) or "nothing") + (", …" if len(known) > most else "")
