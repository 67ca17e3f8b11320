"""What the emulated account may order, and at what price, in the API's words."""

from __future__ import annotations

import re
from typing import Any

from tests.emulators.softlayer import filters

DATACENTERS = ("ams03", "dal10", "dal13", "fra02", "wdc07")
CORES = {1: 0.02, 2: 0.04, 4: 0.08, 8: 0.16, 16: 0.32}
MEMORY_MB = {1024: 0.01, 2048: 0.02, 3072: 0.03, 4096: 0.04, 8192: 0.08, 16384: 0.16, 32768: 0.32}
DISKS_GB = {10: 0.001, 20: 0.002, 25: 0.0, 100: 0.01, 250: 0.02, 500: 0.04, 1000: 0.08}
SYSTEMS = (
    "CENTOS_STREAM_9_64",
    "DEBIAN_11_64",
    "DEBIAN_12_64",
    "DEBIAN_13_64",
    "UBUNTU_24_64",
    "WIN_2022_64",
)
SPEEDS = (100, 1000)
NAMES = (
    *(
        "B1_1X2X25",
        "B1_1X4X25",
        "B1_2X4X25",
        "B1_2X8X25",
        "B1_2X8X100",
        "B1_4X8X25",
        "B1_4X16X25",
        "B1_4X16X100",
    ),
    *("C1_1X1X25", "C1_2X2X25", "C1_4X4X25", "M1_1X8X25", "M1_2X16X25", "BL2_2X4X100", "BL2_4X16X100"),
    *("B1_2X4X25_TRANSIENT", "AC1_8X60X25"),
)
SUSPENDABLE, OLD = 1035, 46
"""Ids of packages: guests that can be suspended, priced by use, and those of before."""
PRICE = filters.parse(
    "id,hourlyRecurringFee,recurringFee,usageRate,item[id,description,itemCategory[categoryCode]],"
    "pricingLocationGroup[locations[name]]"
)
DEARER = "ams03"
"""A datacenter with prices of its own: a tenth more."""


def size(flavor: str) -> tuple[int, int, int]:
    """Return processors, MB of memory and GB of the first disk."""
    found = re.search(r"_(\d+)X(\d+)X(\d+)", flavor)
    assert found
    return int(found[1]), int(found[2]) * 1024, int(found[3])


FLAVORS = {name: size(name) for name in NAMES}


def create_options() -> dict[str, Any]:
    """Return the answer to getCreateObjectOptions."""
    return {
        "datacenters": [{"template": {"datacenter": {"name": name}}} for name in DATACENTERS],
        "processors": [_priced({"startCpus": size}, fee) for size, fee in CORES.items()],
        "memory": [_priced({"maxMemory": size}, fee) for size, fee in MEMORY_MB.items()],
        "operatingSystems": [{"template": {"operatingSystemReferenceCode": name}} for name in SYSTEMS],
        "networkComponents": [{"template": {"networkComponents": [{"maxSpeed": speed}]}} for speed in SPEEDS],
        "flavors": [
            {
                "flavor": {"keyName": name, "name": name},
                "template": {"supplementalCreateObjectOptions": {"flavorKeyName": name}},
            }
            for name in FLAVORS
        ],
        "blockDevices": [
            _priced(
                {
                    "blockDevices": [{"device": device, "diskImage": {"capacity": size}}],
                    "localDiskFlag": local,
                },
                fee,
            )
            for local in (False, True)
            for device in ("0", "2")
            for size, fee in DISKS_GB.items()
        ],
    }


def order(template: dict[str, Any]) -> dict[str, Any]:
    """Return the order that stands for a guest: a flavor's processors and memory are not among its prices."""
    flavor = flavor_of(template)
    by_use = bool(flavor)
    prices = [_price("Debian GNU/Linux (64 bit)", "os", 0, by_use=by_use)]
    prices += [
        _price(f"{gb} GB (SAN)", f"guest_disk{device}", DISKS_GB[gb], by_use=by_use)
        for device, gb in disks(template).items()
    ]
    whole = {"useHourlyPricing": template["hourlyBillingFlag"], "quantity": 1, "virtualGuests": [template]}
    if flavor:
        return {**whole, "packageId": SUSPENDABLE, "presetId": NAMES.index(flavor) + 1, "prices": prices}
    cores, memory = template["startCpus"], template["maxMemory"]
    prices += [
        _price(f"{cores} x 2.0 GHz Cores", "guest_core", CORES[cores]),
        _price(f"{memory // 1024} GB", "ram", MEMORY_MB[memory]),
    ]
    return {**whole, "packageId": OLD, "prices": prices}


def preset(number: int) -> dict[str, Any]:
    """Return a flavor as a preset: what it is made of, at the prices that hold everywhere."""
    name = NAMES[number - 1]
    cores, memory, disk = FLAVORS[name]
    return {
        "id": number,
        "keyName": name,
        "prices": [
            _price(f"{cores} x 2.0 GHz or higher Cores", "guest_core", cores * 0.02, by_use=True),
            _price(f"{memory // 1024} GB", "ram", memory / 1024 * 0.01, by_use=True),
            _price(f"{disk} GB (SAN)", "guest_disk0", 0, by_use=True),
        ],
    }


def local_prices() -> list[dict[str, Any]]:
    """Return the prices that hold at one place only."""
    everywhere = {
        price["item"]["id"]: price
        for number in range(1, len(NAMES) + 1)
        for price in preset(number)["prices"]
    }
    return [
        {
            **price,
            "usageRate": str(round(float(price["usageRate"]) * 1.1, 5)),
            "pricingLocationGroup": {"locations": [{"name": DEARER}]},
        }
        for price in everywhere.values()
    ]


def flavor_of(template: dict[str, Any]) -> str:
    """Return the flavor that a guest is ordered as; '' = processors and memory one by one."""
    return str((template.get("supplementalCreateObjectOptions") or {}).get("flavorKeyName") or "")


def disks(template: dict[str, Any]) -> dict[str, int]:
    """Return GB by device number, a flavor's own first disk not among them."""
    return {disk["device"]: disk["diskImage"]["capacity"] for disk in template.get("blockDevices", [])}


def _price(description: str, category: str, fee: float, *, by_use: bool = False) -> dict[str, Any]:
    fee = round(fee, 5)
    number = sum(map(ord, description + category))
    return {
        "id": number + 100_000,
        "hourlyRecurringFee": "0" if by_use else str(fee),
        "usageRate": str(fee) if by_use else "",
        "recurringFee": str(round(fee * 700, 2)),
        "item": {"id": number, "description": description, "itemCategory": {"categoryCode": category}},
    }


def _priced(template: dict[str, Any], fee: float) -> dict[str, Any]:
    return {"template": template, "itemPrice": {"hourlyRecurringFee": str(fee)}}
