"""The guests of an emulated account, as ordered and as the API tells them. Pure."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.emulators.softlayer import filters, options

GUEST = filters.parse(
    "id,hostname,domain,fullyQualifiedDomainName,createDate,provisionDate,primaryIpAddress,primaryBackendIpAddress,"
    "globalIdentifier,deviceStatus[name],maxCpu,maxMemory,notes,datacenter[name],powerState[name,keyName],"
    "status[keyName],hourlyBillingFlag,"
    "activeTransaction[id,transactionStatus[name,friendlyName]],lastOperatingSystemReload[id],"
    "blockDevices[device,diskImage[capacity]],blockDeviceTemplateGroup[name],tagReferences[tag[name]]"
)
PLAIN = (
    "id",
    "hostname",
    "domain",
    "fullyQualifiedDomainName",
    "createDate",
    "provisionDate",
    "maxCpu",
    "maxMemory",
    "notes",
)
"""What the API tells without a mask."""


@dataclass
class Delays:
    """Seconds that are minutes in the real account."""

    provision: float = 0.05
    reclaim: float = 0.05
    visible: float = 0.0
    """Until a new guest is in lists; orders are not always at once."""
    transaction: float = 0.0
    """During which a guest that was switched on or off takes no other call."""
    ready_early: bool = False
    """Guests are told to be provisioned before their machines have booted."""


@dataclass
class Guest:
    """One guest. Times are seconds of `time.monotonic`."""

    id: int
    template: dict[str, Any]
    ordered: float
    created: str
    image: str = ""
    notes: str = ""
    tags: list[str] = field(default_factory=list)
    provisioned: str = ""
    cancelled: float | None = None
    off_by_api: bool = False
    busy_until: float = 0.0

    @property
    def name(self) -> str:
        return str(self.template["hostname"])

    @property
    def size(self) -> tuple[int, int]:
        """Processors and MB."""
        flavor = options.flavor_of(self.template)
        if flavor:
            return options.FLAVORS[flavor][:2]
        return int(self.template["startCpus"]), int(self.template["maxMemory"])

    @property
    def suspends(self) -> bool:
        """Whether powering it off by the API ends the bill for all but its disks."""
        plain = self.template["hourlyBillingFlag"] and not self.template["localDiskFlag"]
        return bool(plain and options.flavor_of(self.template))

    @property
    def groups(self) -> list[int]:
        """Ids of the security groups at its public port."""
        bindings = (self.template.get("primaryNetworkComponent") or {}).get("securityGroupBindings") or []
        return [int(each["securityGroup"]["id"]) for each in bindings]


def render(guest: Guest, seen: Any) -> dict[str, Any]:
    """Return all that the API knows of a guest; `seen`: the machines behind guests."""
    cores, memory_mb = guest.size
    shown: dict[str, Any] = {
        "id": guest.id,
        "hostname": guest.name,
        "domain": guest.template["domain"],
        "fullyQualifiedDomainName": f"{guest.name}.{guest.template['domain']}",
        "createDate": guest.created,
        "maxCpu": cores,
        "maxMemory": memory_mb,
        "notes": guest.notes,
        "hourlyBillingFlag": guest.template["hourlyBillingFlag"],
        "datacenter": {"name": guest.template["datacenter"]["name"]},
        "status": {"keyName": "DISCONNECTED" if guest.cancelled else "ACTIVE"},
        "tagReferences": [{"tag": {"name": tag}} for tag in guest.tags],
        "blockDevices": [
            {"device": device, "diskImage": {"capacity": size}}
            for device, size in sorted({**_disks(guest), "1": 2}.items())
        ],
        "powerState": {"keyName": "HALTED", "name": "Halted"},
        "globalIdentifier": f"00000000-0000-4000-9000-{guest.id:012}",
        "deviceStatus": {"name": "Active"},
    }
    if guest.id in seen:  # the address is told long before the guest is ready
        shown["primaryBackendIpAddress"] = seen[guest.id].address
        if not guest.template["privateNetworkOnlyFlag"] and seen[guest.id].public:
            shown["primaryIpAddress"] = seen[guest.id].public
    if guest.provisioned and guest.id in seen:
        shown["provisionDate"] = guest.provisioned
        power = "Running" if seen[guest.id].runs else "Halted"
        shown["powerState"] = {"keyName": power.upper(), "name": power}
    if guest.image:
        shown["blockDeviceTemplateGroup"] = {"name": guest.image}
    if active := doing(guest):
        status = {"name": active, "friendlyName": active.title()}
        shown["activeTransaction"] = {"id": guest.id, "transactionStatus": status}
    return shown


def _disks(guest: Guest) -> dict[str, int]:
    flavor = options.flavor_of(guest.template)
    return {**({"0": options.FLAVORS[flavor][2]} if flavor else {}), **options.disks(guest.template)}


def doing(guest: Guest) -> str:
    """Return the guest's active transaction."""
    if guest.cancelled is not None:
        return "RECLAIM_WAIT"
    if not guest.provisioned:
        return "CLOUD_PROVISION_SETUP"
    return "CLOUD_POWER_OFF" if time.monotonic() < guest.busy_until else ""


def date() -> str:
    """Return now as the API writes it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
