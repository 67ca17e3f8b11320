"""An emulated account: its guests, what happens to them, and the calls of the API that Muster makes."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from SoftLayer import SoftLayerAPIError
from SoftLayer.transports import Request

from tests.emulators.softlayer import filters, options
from tests.emulators.softlayer.machines import Machines, Order

PAGE = 100
GUEST = filters.parse(
    "id,hostname,domain,fullyQualifiedDomainName,createDate,provisionDate,primaryIpAddress,primaryBackendIpAddress,"
    "maxCpu,maxMemory,notes,datacenter[name],powerState[keyName],status[keyName],hourlyBillingFlag,"
    "activeTransaction[id,transactionStatus[name]],lastOperatingSystemReload[id],"
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

    @property
    def name(self) -> str:
        return str(self.template["hostname"])

    @property
    def size(self) -> tuple[int, int]:
        """Processors and MB."""
        flavor = (self.template.get("supplementalCreateObjectOptions") or {}).get("flavorKeyName")
        if flavor:
            return options.FLAVORS[flavor][:2]
        return int(self.template["startCpus"]), int(self.template["maxMemory"])

    @property
    def disks(self) -> dict[str, int]:
        """GB by device number."""
        return {
            disk["device"]: disk["diskImage"]["capacity"] for disk in self.template.get("blockDevices", [])
        }


def refusal(code: str, text: str) -> SoftLayerAPIError:
    return SoftLayerAPIError(f"SoftLayer_Exception{code}", text)


class Books:
    """The account. Every public method holds the lock; `violations` is what must never happen."""

    def __init__(self, machines: Machines, delays: Delays) -> None:
        self.machines = machines
        self.delays = delays
        self.guests: dict[int, Guest] = {}
        self.room: dict[str, int] = {}
        """Guests that a datacenter still has room for; those that are not named have enough."""
        self.images: list[dict[str, Any]] = []
        self.ssh_keys: list[dict[str, Any]] = []
        self.orders: list[list[str]] = []
        self.violations: list[str] = []
        self.transactions = 0
        self._ids = itertools.count(1001)
        self._lock = threading.RLock()
        self._calls: dict[tuple[str, str], Callable[[Request], Any]] = {
            ("Account", "getVirtualGuests"): self._list,
            ("Account", "getPrivateBlockDeviceTemplateGroups"): lambda r: self._some(self.images, r),
            ("Account", "getSshKeys"): lambda r: self._some(self.ssh_keys, r),
            ("Virtual_Guest", "createObjects"): lambda r: self._create(r.args[0]),
            ("Virtual_Guest", "getCreateObjectOptions"): lambda _: options.create_options(),
            ("Virtual_Guest", "generateOrderTemplate"): lambda r: {"prices": options.prices(r.args[0])},
            ("Virtual_Guest", "deleteObject"): self._cancel,
            ("Virtual_Guest", "setTags"): self._tag,
            ("Virtual_Guest", "editObject"): self._edit,
            ("Virtual_Guest", "powerOn"): lambda r: self._power(r, on=True),
            ("Virtual_Guest", "powerOff"): lambda r: self._power(r, on=False),
            ("Virtual_Guest", "powerOffSoft"): lambda r: self._power(r, on=False),
            ("Product_Order", "verifyOrder"): lambda r: r.args[0],
        }

    def answer(self, request: Request) -> tuple[Any, int | None]:
        """Carry out a call; return its answer, and how many there are when it is a list."""
        key = (request.service.removeprefix("SoftLayer_"), request.method)
        if key not in self._calls:
            raise NotImplementedError(f"{key} is not emulated")
        with self._lock:
            self._pass_time()
            try:
                answer = self._calls[key](request)
            except filters.NotUnderstoodError as error:
                raise refusal("_Public", str(error)) from error
            return answer if isinstance(answer, tuple) else (answer, None)

    def billing(self) -> list[str]:
        """Return the names of the guests that cost money, sorted."""
        with self._lock:
            self._pass_time()
            return sorted(guest.name for guest in self.guests.values() if guest.cancelled is None)

    def _pass_time(self) -> None:
        now = time.monotonic()
        seen = self.machines.seen() if self.guests else {}
        for guest in list(self.guests.values()):
            made = now >= guest.ordered + self.delays.provision
            if (
                made
                and not guest.provisioned
                and (self.delays.ready_early or (guest.id in seen and seen[guest.id].booted))
            ):
                guest.provisioned = _date()
            if guest.cancelled is not None and now >= guest.cancelled + self.delays.reclaim:
                self.machines.delete(guest.id)
                del self.guests[guest.id]

    def _create(self, templates: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for template in templates:
            self._check(template)
        where = templates[0]["datacenter"]["name"]
        if self.room.get(where, len(templates)) < len(templates):
            raise refusal("_Virtual_Host_Pool_InsufficientCapacity", f"No room for {len(templates)} guests.")
        if where in self.room:
            self.room[where] -= len(templates)
        made = [self._make(template) for template in templates]
        self.orders.append([guest.name for guest in made])
        self.machines.boot([self._order(guest) for guest in made])
        return [
            {key: value for key, value in self._render(guest, {}).items() if key in PLAIN} for guest in made
        ]

    def _make(self, template: dict[str, Any]) -> Guest:
        nonce = template["domain"].split(".")[0].rsplit("-", 1)[0]
        for other in self.guests.values():
            same = other.name == template["hostname"] and other.template["domain"].startswith(nonce)
            if same and other.cancelled is None:
                self.violations.append(f"{other.name} was ordered twice")
        image = (template.get("blockDeviceTemplateGroup") or {}).get("globalIdentifier")
        name = next((str(each["name"]) for each in self.images if each["globalIdentifier"] == image), "")
        guest = Guest(next(self._ids), template, time.monotonic(), _date(), image=name)
        self.guests[guest.id] = guest
        return guest

    def _check(self, template: dict[str, Any]) -> None:
        for key in ("hostname", "domain", "datacenter", "hourlyBillingFlag", "localDiskFlag"):
            if key not in template:
                raise refusal(
                    "_MissingCreationProperty", f"The property '{key}' must be set to create an instance."
                )
        if template["datacenter"]["name"] not in options.DATACENTERS:
            raise refusal("_Public", "Invalid value provided for 'datacenter.name'.")
        if "notes" in template or "tagReferences" in template:
            raise refusal("_Public", "Only a guest that exists can be tagged.")
        system = template.get("operatingSystemReferenceCode")
        if bool(system) == bool(template.get("blockDeviceTemplateGroup")):
            raise refusal("_Public", "Name an operating system or an image.")
        if system and system not in options.SYSTEMS:
            raise refusal("_Public", "Invalid value provided for 'operatingSystemReferenceCode'.")

    def _order(self, guest: Guest) -> Order:
        cores, memory_mb = guest.size
        user_data = (guest.template.get("userData") or [{"value": ""}])[0]["value"]
        data = guest.disks.get("2", 0)
        return Order(guest.id, guest.name, cores, memory_mb / 1024, data, user_data, guest.image)

    def _list(self, request: Request) -> tuple[list[Any], int]:
        seen = self.machines.seen() if self.guests else {}
        now = time.monotonic()
        visible = [g for g in self.guests.values() if now >= g.ordered + self.delays.visible]
        return self._some([self._render(guest, seen) for guest in visible], request, GUEST)

    def _some(
        self, things: list[dict[str, Any]], request: Request, known: filters.Tree | None = None
    ) -> tuple[list[Any], int]:
        found = filters.matching(things, request.filter or {})
        offset = request.offset or 0
        page = found[offset : offset + min(request.limit or PAGE, PAGE)]
        mask = filters.parse(request.mask) if request.mask else {name: {} for name in PLAIN}
        return [filters.masked(each, mask, known or {name: {} for name in each}) for each in page], len(found)

    def _render(self, guest: Guest, seen: Any) -> dict[str, Any]:
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
                for device, size in sorted({**guest.disks, "1": 2}.items())
            ],
            "powerState": {"keyName": "HALTED"},
        }
        if guest.id in seen:  # the address is told long before the guest is ready
            shown["primaryBackendIpAddress"] = seen[guest.id].address
        if guest.provisioned and guest.id in seen:
            shown["provisionDate"] = guest.provisioned
            shown["powerState"] = {"keyName": "RUNNING" if seen[guest.id].runs else "HALTED"}
        if guest.image:
            shown["blockDeviceTemplateGroup"] = {"name": guest.image}
        doing = self.doing(guest)
        if doing:
            shown["activeTransaction"] = {"id": guest.id, "transactionStatus": {"name": doing}}
        return shown

    @staticmethod
    def doing(guest: Guest) -> str:
        """Return the guest's active transaction."""
        if guest.cancelled is not None:
            return "RECLAIM_WAIT"
        return "" if guest.provisioned else "CLOUD_PROVISION_SETUP"

    def _find(self, request: Request) -> Guest:
        guest = self.guests.get(int(request.identifier))
        if guest is None:
            raise refusal("_ObjectNotFound", f"Unable to find object with id of '{request.identifier}'.")
        return guest

    def _cancel(self, request: Request) -> bool:
        guest = self._find(request)
        if self.doing(guest):
            raise refusal("_Public", "The guest has an active transaction and cannot be cancelled now.")
        guest.cancelled = time.monotonic()
        return True

    def _tag(self, request: Request) -> bool:
        self._find(request).tags = [tag.strip() for tag in request.args[0].split(",") if tag.strip()]
        return True

    def _edit(self, request: Request) -> bool:
        guest = self._find(request)
        if set(request.args[0]) != {"notes"} or len(request.args[0]["notes"]) > 1000:
            raise refusal("_Public", "Only short notes can be edited here.")
        guest.notes = request.args[0]["notes"]
        return True

    def _power(self, request: Request, *, on: bool) -> bool:
        guest = self._find(request)
        if self.doing(guest):
            raise refusal("_Public", "The guest has an active transaction.")
        self.machines.power(guest.id, on=on)
        return True


def _date() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
