"""What a guest costs, from the items of its verified order and of its flavor's preset.

A flavor's processors and memory are no items of the order: they belong to the preset, whose prices are those
for everywhere, so the datacenter's own are looked up. Guests that can be suspended are priced by `usageRate`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from provision.core.model import Price
from provision.providers.softlayer.client import Api, Raw
from provision.providers.softlayer.guests import dig

HOURS_A_MONTH = 730
LEAST_CHARGE = "IBM charges at least 25 % of a billing cycle's hours as if it ran"
_PRICE = "id,hourlyRecurringFee,recurringFee,usageRate,item[id,description,itemCategory[categoryCode]]"
_PRESET_MASK = f"mask[id,keyName,prices[{_PRICE}]]"
_LOCAL_MASK = f"mask[{_PRICE},pricingLocationGroup[locations[name]]]"
_CORES, _MEMORY, _DISK = "guest_core", "ram", "guest_disk"
_WORDS = {_CORES: re.compile(r"\bcores?\b", re.IGNORECASE), _DISK: re.compile(r"^\d+ GB \((SAN|LOCAL)\)")}


@dataclass(frozen=True)
class Quote:
    """US dollars an hour: of the whole guest, and of its disks alone."""

    hourly: float
    disks: float

    @property
    def running(self) -> Price:
        """What it costs while it runs."""
        return Price(round(self.hourly, 4), _source())

    @property
    def suspended(self) -> Price:
        """What it costs when the API has powered it off."""
        return Price(round(self.disks, 4), f"{_source()}, its disks alone; {LEAST_CHARGE}")


def quote(api: Api, guest: Raw, *, hourly: bool) -> Quote | None:
    """Return what the API asks for a guest; None when the answer has no price of its processors.

    Args:
        api: the API.
        guest: as createObjects takes it.
        hourly: billed by the hour, not by the month.

    Raises:
        ApiError: such a guest cannot be ordered, or the API does not answer.
    """
    order = api.call("Virtual_Guest", "generateOrderTemplate", guest)
    verified = api.call("Product_Order", "verifyOrder", order)
    items: list[Raw] = [*(verified.get("prices") or []), *(verified.get("usagePrices") or [])]
    preset = order.get("presetId")
    if preset and not _of(items, _CORES):
        items += _preset(api, int(preset), order.get("packageId"), str(dig(guest, "datacenter", "name")))
    if not _sum([*_of(items, _CORES), *_of(items, _MEMORY)], hourly=hourly) or not _of(items, _CORES):
        return None
    told = float(verified.get("preTaxRecurringHourly" if hourly else "preTaxRecurringMonthly") or 0)
    told /= 1 if hourly else HOURS_A_MONTH
    return Quote(max(told, _sum(items, hourly=hourly)), _sum(_of(items, _DISK), hourly=hourly))


def _preset(api: Api, preset: int, package: int | None, datacenter: str) -> list[Raw]:
    """Return the prices of a preset, each as the datacenter has it."""
    found = api.call("Product_Package_Preset", "getObject", id=preset, mask=_PRESET_MASK)
    everywhere: list[Raw] = found.get("prices") or []
    ids = [item for each in everywhere if (item := dig(each, "item", "id"))]
    if not package or not ids:
        return everywhere
    wanted = {"operation": "in", "options": [{"name": "data", "value": ids}]}
    query = {"itemPrices": {"item": {"id": wanted}}}
    there = {
        dig(each, "item", "id"): each
        for each in api.pages("Product_Package", "getItemPrices", mask=_LOCAL_MASK, query=query, id=package)
        if any(
            place.get("name") == datacenter for place in dig(each, "pricingLocationGroup", "locations") or []
        )
    }
    return [there.get(dig(each, "item", "id"), each) for each in everywhere]


def _of(items: Iterable[Raw], category: str) -> list[Raw]:
    return [each for each in items if _category(each).startswith(category)]


def _category(price: Raw) -> str:
    """Return what a price is of: its category's code, else what the item's description says."""
    code = dig(price, "item", "itemCategory", "categoryCode")
    codes = [code] if code else [each.get("categoryCode") for each in price.get("categories") or []]
    if codes and codes[0]:
        return str(codes[0])
    description = str(dig(price, "item", "description") or "")
    return next((name for name, words in _WORDS.items() if words.search(description)), "")


def _sum(items: Sequence[Raw], *, hourly: bool) -> float:
    return sum(_fee(each, hourly=hourly) for each in items)


def _fee(price: Raw, *, hourly: bool) -> float:
    if hourly:
        return float(price.get("hourlyRecurringFee") or 0) or float(price.get("usageRate") or 0)
    return float(price.get("recurringFee") or 0) / HOURS_A_MONTH


def _source() -> str:
    return f"SoftLayer's own price, {datetime.now(tz=UTC).date().isoformat()}"
