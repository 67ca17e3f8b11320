"""What the emulator knows and how it shall behave: settings, faults, capacity, tokens, what happens later."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.emulators.hardware import CALLER


@dataclass
class Settings:
    """Seconds are scaled down: AWS takes half a minute for most of this."""

    access_key: str = "AKIAEMULATOR00000000"
    pending_s: float = 0.0
    stopping_s: float = 0.0
    shutting_down_s: float = 0.0
    image_s: float = 0.0  # until an image, or a copy of one, is available
    image_fails: str = ""  # the reason why it never is
    invisible_s: float = 0.0  # a new machine is in no list for so long
    unseen_looks: int = 0  # and so many lists that it belongs in are without it, one more for each of a call
    late_disks: int = 0  # so many lists show a new machine without its data disk
    address: str = CALLER  # the caller's, as /checkip tells it
    policy: bool = True  # the account may do what docs/ec2.md says, and nothing else
    denied: list[str] = field(default_factory=list)  # nor these (`ec2:RunInstances`)
    listed: dict[str, float] = field(
        default_factory=dict
    )  # AWS's price list: type or gp3 -> dollars; {} = it refuses
    quotas: dict[str, float] = field(default_factory=dict)  # code -> vCPUs
    spot_index_zero: bool = True  # each spot machine is the only one of a request of its own
    spot_price: float = 0.03  # of every type that is not in spot_prices
    spot_prices: dict[str, float] = field(default_factory=dict)


@dataclass
class Fault:
    """Something that goes wrong with the next `times` calls of an action, after `skip` that go well.

    kind: drop-before, drop-after (the reply is lost), 500-before, 500-after, throttle, empty (no item
    in the set `code`), error (`code`, `message`).
    """

    action: str
    kind: str
    times: int = 1
    skip: int = 0
    code: str = ""
    message: str = ""


@dataclass
class Books:
    """One emulator's memory beside moto's."""

    settings: Settings = field(default_factory=Settings)
    faults: list[Fault] = field(default_factory=list)
    room: dict[str, int] = field(
        default_factory=dict
    )  # "type/zone/spot|on-demand", * in any place -> machines left
    replies: dict[str, tuple[str, bytes]] = field(default_factory=dict)  # client token -> digest, reply
    calls: Counter[str] = field(default_factory=Counter)
    asked: set[str] = field(default_factory=set)  # permissions that were needed (`ec2:RunInstances`)
    orders: list[dict[str, Any]] = field(default_factory=list)  # what RunInstances has really made
    visible_from: dict[str, float] = field(default_factory=dict)  # instance -> time
    looks: dict[str, int] = field(default_factory=dict)  # instance -> lists that will be without it
    disk_looks: dict[str, int] = field(
        default_factory=dict
    )  # instance -> lists that show it without its data disk
    violations: list[str] = field(default_factory=list)  # what must never happen
    later: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def reset(self) -> None:
        """Forget everything."""
        fresh = Books()
        for name in vars(fresh):
            if name != "lock":
                setattr(self, name, getattr(fresh, name))

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Let it happen at the first call that comes so many seconds from now."""
        self.later.append((time.monotonic() + seconds, action))
        self.tick()

    def tick(self) -> None:
        """Let happen what is due."""
        now = time.monotonic()
        due = [entry for entry in self.later if entry[0] <= now]
        self.later = [entry for entry in self.later if entry[0] > now]
        for _, action in due:
            action()

    def fault(self, action: str) -> Fault | None:
        """Return what goes wrong with this call."""
        for fault in self.faults:
            if fault.action in (action, "*"):
                if fault.skip:
                    fault.skip -= 1
                    return None
                fault.times -= 1
                if not fault.times:
                    self.faults.remove(fault)
                return fault
        return None

    def room_for(self, kind: str, zone: str, market: str) -> int | None:
        """Return how many more machines there may be; None when there is no limit."""
        limits = [left for key, left in self.room.items() if _matches(key, (kind, zone, market))]
        return min(limits) if limits else None

    def take(self, kind: str, zone: str, market: str, count: int) -> None:
        """Note that machines have been made."""
        for key in self.room:
            if _matches(key, (kind, zone, market)):
                self.room[key] -= count

    def visible(self, instance_id: str) -> bool:
        """Return whether a machine is in lists by now."""
        return self.visible_from.get(instance_id, 0) <= time.monotonic() and not self.looks.get(instance_id)


def _matches(key: str, place: tuple[str, str, str]) -> bool:
    return all(part in ("*", own) for part, own in zip(key.split("/"), place, strict=True))
