"""List prices that lie in a dated table, for when a provider's own price list cannot be asked."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from provision.core.model import MachineType, Price
from provision.core.spec import Shape

TABLE = Path(__file__).with_name("prices.yml")
_MONTH_DAYS = 30.44


def listed(provider: str, kind: str, *, place: str = "", today: date | None = None) -> Price | None:
    """Return the table's price, its date and age in `source`; None when the table does not have it.

    Args:
        provider: the provider's name.
        kind: an instance type or flavor; on EC2 `gp3` is one GB of disk.
        place: where: prices of one region say nothing of another.
        today: from when the age is counted.
    """
    known = _table().get(provider, {})
    hourly = known.get("hourly", {}).get(place, {}).get(kind)
    if hourly is None:
        return None
    source = f"list price of {known['date']:%Y-%m} in {place}, {_age(known['date'], today)}"
    return Price(hourly=float(hourly), source=source)


def types(provider: str, *, place: str = "") -> list[MachineType]:
    """Return the machine types that the table knows of a provider, with their price in a place."""
    return [
        MachineType(name, provider, Shape(cores, float(memory_gb)), listed(provider, name, place=place))
        for name, (cores, memory_gb) in _table().get(provider, {}).get("types", {}).items()
    ]


def _age(then: date, today: date | None) -> str:
    days = max(0, ((today or datetime.now(tz=UTC).date()) - then).days)
    if days < 2 * _MONTH_DAYS:
        return f"{days} days old"
    return f"{days / _MONTH_DAYS:.0f} months old"


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    return table
