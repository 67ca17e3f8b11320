"""What stands behind the guests of the emulator: nothing but addresses, or real machines of this computer."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from provision.providers.local import client
from tests.emulators import hardware
from tests.names import MARK


@dataclass(frozen=True)
class Order:
    """What one guest was ordered as. `image` is the name of its image template ('' = an operating system)."""

    guest: int
    name: str
    cores: int
    memory_gb: float
    data_disk_gb: int
    user_data: str
    image: str


@dataclass(frozen=True)
class Seen:
    """A machine. `booted` is what the real API does not know; `public`: its public address, '' = it has none."""

    address: str
    booted: bool
    runs: bool
    public: str = ""


class Machines(Protocol):
    """The machines behind the guests, known by the guests' ids."""

    def boot(self, orders: Sequence[Order]) -> None:
        """Begin to make them."""

    def seen(self) -> Mapping[int, Seen]:
        """Return what is there; a guest whose machine is not begun yet is left out."""

    def power(self, guest: int, *, on: bool) -> None:
        """Switch one on or off."""

    def delete(self, guest: int) -> None:
        """Take one away with its disks."""

    def close(self) -> None:
        """Take all away."""


@dataclass
class Paper:
    """Machines on paper: they boot at once, or when the test says so (`hold`)."""

    hold: bool = False
    booted: dict[int, bool] = field(default_factory=dict)
    orders: dict[int, Order] = field(default_factory=dict)

    def boot(self, orders: Sequence[Order]) -> None:
        self.orders |= {order.guest: order for order in orders}
        if not self.hold:
            self.boot_all()

    def boot_all(self) -> None:
        """Let everything boot that was ordered so far."""
        self.booted |= {guest: True for guest in self.orders if guest not in self.booted}

    def seen(self) -> Mapping[int, Seen]:
        return {
            guest: Seen(address(guest), guest in self.booted, self.booted.get(guest, True))
            for guest in self.orders
        }

    def power(self, guest: int, *, on: bool) -> None:
        self.booted[guest] = on

    def delete(self, guest: int) -> None:
        self.orders.pop(guest, None)
        self.booted.pop(guest, None)

    def close(self) -> None:
        self.orders.clear()
        self.booted.clear()


class Local:
    """Real machines: a cluster of this computer that only the emulator knows of."""

    def __init__(self) -> None:
        self.id = secrets.token_hex(4)
        self._names: dict[int, str] = {}
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self.failures: list[str] = []

    def boot(self, orders: Sequence[Order]) -> None:
        with self._lock:
            self._names |= {order.guest: order.name for order in orders}
        self._go(lambda: self._create(orders))

    def _create(self, orders: Sequence[Order]) -> None:
        sizes: dict[tuple[object, ...], list[Order]] = {}
        for order in orders:
            key = (order.cores, order.memory_gb, order.data_disk_gb, order.image, order.user_data)
            sizes.setdefault(key, []).append(order)
        for alike in sizes.values():
            first = alike[0]
            layer = first.image.removeprefix("muster-")
            if not layer:
                hardware.call("image-base", {})
            group = {
                "name": "guest",
                "cores": first.cores,
                "memory_gb": first.memory_gb,
                "data_disk_gb": first.data_disk_gb,
            }
            body: dict[str, Any] = {
                "cluster": f"{MARK}sl-{self.id}",
                "cluster_id": self.id,
                "group": group,
                "names": [order.name for order in alike],
                "token": secrets.token_hex(8),
                "user_data": first.user_data,
                "image": layer,
                "labels": {},
                "inherit": client.inherited(),
            }
            hardware.call("create", body)

    def seen(self) -> Mapping[int, Seen]:
        there = {node["name"]: node for node in client.call("list", {"cluster_id": self.id})}
        with self._lock:
            names = dict(self._names)
        return {
            guest: Seen(
                there[name]["address"],
                there[name]["state"] in ("running", "stopped"),
                there[name]["state"] == "running",
                hardware.public(there[name]["address"]),
            )
            for guest, name in names.items()
            if name in there
        }

    def power(self, guest: int, *, on: bool) -> None:
        name = self._names[guest]
        self._go(lambda: hardware.call("start" if on else "stop", {"cluster_id": self.id, "names": [name]}))

    def delete(self, guest: int) -> None:
        name = self._names.pop(guest)
        self._go(lambda: client.call("delete", {"cluster_id": self.id, "names": [name]}))

    def close(self) -> None:
        for thread in self._threads:
            thread.join()
        names = [node["name"] for node in client.call("list", {"cluster_id": self.id})]
        client.call("delete", {"cluster_id": self.id, "names": names})

    def _go(self, action: Any) -> None:
        """Do it beside the API, which does not wait for machines either."""

        def run() -> None:
            try:
                action()
            except Exception as error:  # noqa: BLE001  told by the test that finds the guest missing
                self.failures.append(repr(error))

        thread = threading.Thread(target=run)
        self._threads.append(thread)
        thread.start()


def address(guest: int) -> str:
    """Return a private address for a machine on paper."""
    return f"10.200.{guest // 250 % 250}.{guest % 250 + 1}"
