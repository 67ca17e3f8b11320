"""What this provider must remember beside the journal, in the cluster's state folder.

A create call may have to be tried with another instance type or zone, each under a client token of its own.
Which one is being tried is written down before it is asked for, so that the same order, replayed after a
crash, asks for that one again and never for another set of machines beside it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from provision.core import files

SETTLING_S = 60.0
"""Seconds after which a machine that was ordered is visible in every list of AWS."""


@dataclass(frozen=True)
class Alternative:
    """One way to get a group's machines. `root` and `root_gb`: device and size of the image's system disk."""

    instance_type: str
    subnet: str
    zone: str
    spot: bool
    image: str
    root: str
    root_gb: int
    recipe: str = ""

    def __str__(self) -> str:
        return f"{self.instance_type} in {self.zone}{' (spot)' if self.spot else ''}"


@dataclass(frozen=True)
class Order:
    """One create call. `common`: what is the same in each alternative; `index`: the one last begun."""

    region: str
    count: int
    common: Mapping[str, Any]
    alternatives: tuple[Alternative, ...]
    index: int = 0
    begun: float = 0.0
    settled: bool = False
    """True when all machines, or none, are certain to be known."""


class Ledger:
    """The notes in a cluster's state folder; an order's is kept as long as the journal keeps its request."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._orders = folder / "requests"  # the journal drops files there whose intent is closed
        self._images = folder / "ec2-images.json"
        self._regions = folder / "ec2-regions"

    def order(self, token: str) -> Order | None:
        """Return what was noted of a create call."""
        try:
            data = json.loads(self._path(token).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return Order(**{**data, "alternatives": tuple(Alternative(**one) for one in data["alternatives"])})

    def begin(self, token: str, order: Order, index: int) -> Order:
        """Note that alternative `index` is about to be asked for; return the order."""
        return self._note(token, replace(order, index=index, begun=time.time(), settled=False))

    def settle(self, token: str, order: Order) -> None:
        """Note that nothing of the order can turn up any more that is not known."""
        self._note(token, replace(order, settled=True))

    def unsettled(self) -> dict[str, Order]:
        """Return the orders, by token, of which machines may still turn up."""
        found = {path.stem: self.order(path.stem) for path in self._orders.glob("*.ec2")}
        return {token: order for token, order in found.items() if order is not None and not order.settled}

    def regions(self) -> set[str]:
        """Return the regions in which the cluster may have machines, whatever the config says now."""
        try:
            return set(self._regions.read_text(encoding="utf-8").split())
        except FileNotFoundError:
            return set()

    def remember(self, region: str) -> None:
        """Note that the cluster is about to have something in a region."""
        if region not in (known := self.regions()):
            files.private_folder(self.folder)
            files.write(self._regions, "".join(f"{name}\n" for name in sorted({*known, region})))

    def public_key(self) -> str:
        """Return the cluster's public login key."""
        return (self.folder / "id_ed25519.pub").read_text(encoding="utf-8").strip()

    def pinned(self) -> dict[str, dict[str, Any]]:
        """Return the images that were chosen, by what was asked for."""
        try:
            found: dict[str, dict[str, Any]] = json.loads(self._images.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return found

    def pin(self, question: str, image: Mapping[str, Any]) -> None:
        """Note which image was chosen, so that later machines get the same."""
        if self.folder.is_dir():
            text = json.dumps({**self.pinned(), question: dict(image)}, indent=1, sort_keys=True)
            files.write_if_changed(self._images, text + "\n")

    def _note(self, token: str, order: Order) -> Order:
        files.private_folder(self._orders)
        files.write(self._path(token), json.dumps(asdict(order), sort_keys=True))
        return order

    def _path(self, token: str) -> Path:
        return self._orders / f"{token}.ec2"
