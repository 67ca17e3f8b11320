"""What the emulated account may order, in the API's words."""

from __future__ import annotations

from typing import Any

DATACENTERS = ("ams03", "dal10", "dal13", "fra02", "wdc07")
CORES = {1: 0.02, 2: 0.04, 4: 0.08, 8: 0.16, 16: 0.32}
MEMORY_MB = {1024: 0.01, 2048: 0.02, 3072: 0.03, 4096: 0.04, 8192: 0.08, 16384: 0.16, 32768: 0.32}
DISKS_GB = {10: 0.001, 20: 0.002, 25: 0.0, 100: 0.01, 250: 0.02, 500: 0.04, 1000: 0.08}
SYSTEMS = ("CENTOS_7_64", "DEBIAN_12_64", "DEBIAN_13_64", "UBUNTU_24_64")
SPEEDS = (100, 1000)
FLAVORS = {
    "B1_2X4X25": (2, 4096, 25, 0.085),
    "B1_2X8X100": (2, 8192, 100, 0.113),
    "B1_4X16X100": (4, 16384, 100, 0.226),
}


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


def prices(template: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the prices of the items of a guest."""
    flavor = (template.get("supplementalCreateObjectOptions") or {}).get("flavorKeyName")
    fees = (
        [FLAVORS[flavor][3]] if flavor else [CORES[template["startCpus"]], MEMORY_MB[template["maxMemory"]]]
    )
    fees += [DISKS_GB[disk["diskImage"]["capacity"]] for disk in template.get("blockDevices", [])]
    return [{"hourlyRecurringFee": str(fee), "recurringFee": str(round(fee * 700, 2))} for fee in fees]


def _priced(template: dict[str, Any], fee: float) -> dict[str, Any]:
    return {"template": template, "itemPrice": {"hourlyRecurringFee": str(fee)}}
