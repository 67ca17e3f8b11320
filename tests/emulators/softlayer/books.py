"""An emulated account: its guests, what happens to them, and the calls of the API that Muster makes."""

from __future__ import annotations

import itertools
import re
import threading
import time
from collections.abc import Callable
from typing import Any

from SoftLayer.transports import Request

from tests.emulators.softlayer import details, filters, options
from tests.emulators.softlayer.guests import GUEST, PLAIN, Delays, Guest, date, doing, render
from tests.emulators.softlayer.machines import Machines, Order
from tests.emulators.softlayer.options import PRICE
from tests.emulators.softlayer.security import GROUP, SecurityGroups, refusal

PAGE = 100


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
        self.limit = 0
        """The most guests with a public port, those that are off included; 0 = no limit."""
        self.heavy = 0
        """A list of more guests than this breaks the API down; 0 = none does."""
        self.security = SecurityGroups(self._bound)
        self.transactions = 0
        self._ids = itertools.count(1001)
        self._lock = threading.RLock()
        self._calls: dict[tuple[str, str], Callable[[Request], Any]] = {
            ("Account", "getVirtualGuests"): self._list,
            ("Account", "getPrivateBlockDeviceTemplateGroups"): lambda r: self._some(self.images, r),
            ("Account", "getSshKeys"): lambda r: self._some(self.ssh_keys, r),
            ("Virtual_Guest", "createObjects"): lambda r: self._create(r.args[0]),
            ("Virtual_Guest", "getCreateObjectOptions"): lambda _: options.create_options(),
            ("Virtual_Guest", "generateOrderTemplate"): self._template,
            ("Product_Package", "getItemPrices"): lambda r: self._some(options.local_prices(), r, PRICE),
            ("Product_Package_Preset", "getObject"): lambda r: options.preset(int(r.identifier)),
            ("Account", "getSecurityGroups"): lambda r: self._some(
                list(self.security.groups.values()), r, GROUP
            ),
            ("Network_SecurityGroup", "getAllObjects"): lambda r: self._some(
                list(self.security.groups.values()), r, GROUP
            ),
            ("Network_SecurityGroup", "createObject"): lambda r: self.security.create(r.args[0]),
            ("Network_SecurityGroup", "addRules"): lambda r: self.security.add(int(r.identifier), r.args[0]),
            ("Network_SecurityGroup", "removeRules"): lambda r: self.security.drop(
                int(r.identifier), r.args[0]
            ),
            ("Network_SecurityGroup", "deleteObject"): lambda r: self.security.delete(int(r.identifier)),
            ("Virtual_Guest", "deleteObject"): self._cancel,
            ("Virtual_Guest", "setTags"): self._tag,
            ("Virtual_Guest", "editObject"): self._edit,
            ("Virtual_Guest", "powerOn"): lambda r: self._power(r, on=True),
            ("Virtual_Guest", "powerOff"): lambda r: self._power(r, on=False),
            ("Virtual_Guest", "powerOffSoft"): lambda r: self._power(r, on=False),
            ("Product_Order", "verifyOrder"): lambda r: r.args[0],
            **details.calls(self._find, self.machines.seen),
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

    def suspended(self) -> list[str]:
        """Return the names of the guests of which only the disks cost money, sorted."""
        with self._lock:
            self._pass_time()
            return sorted(guest.name for guest in self.guests.values() if guest.suspends and guest.off_by_api)

    def _bound(self) -> list[int]:
        return [group for guest in self.guests.values() for group in guest.groups]

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
                guest.provisioned = date()
            if guest.cancelled is not None and now >= guest.cancelled + self.delays.reclaim:
                self.machines.delete(guest.id)
                del self.guests[guest.id]

    def _create(self, templates: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for template in templates:
            self._check(template)
        where = templates[0]["datacenter"]["name"]
        if self.room.get(where, len(templates)) < len(templates):
            raise refusal("_Public", "There is insufficient capacity to complete the request.")
        if where in self.room:
            self.room[where] -= len(templates)
        public = [guest for guest in self.guests.values() if not guest.template["privateNetworkOnlyFlag"]]
        if self.limit and len(public) + len(templates) > self.limit:
            raise refusal("_Public", "This order exceeds the maximum number of public virtual servers.")
        made = [self._make(template) for template in templates]
        self.orders.append([guest.name for guest in made])
        self.machines.boot([self._order(guest) for guest in made])
        return [{key: value for key, value in render(guest, {}).items() if key in PLAIN} for guest in made]

    def _make(self, template: dict[str, Any]) -> Guest:
        nonce = template["domain"].split(".")[0].rsplit("-", 1)[0]
        for other in self.guests.values():
            same = other.name == template["hostname"] and other.template["domain"].startswith(nonce)
            if same and other.cancelled is None:
                self.violations.append(f"{other.name} was ordered twice")
        image = (template.get("blockDeviceTemplateGroup") or {}).get("globalIdentifier")
        name = next((str(each["name"]) for each in self.images if each["globalIdentifier"] == image), "")
        guest = Guest(next(self._ids), template, time.monotonic(), date(), image=name)
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
        for group in Guest(0, template, 0, "").groups:
            self.security.find(group)
        flavor = options.flavor_of(template)
        image = template.get("blockDeviceTemplateGroup")
        if flavor and flavor not in options.FLAVORS:
            raise refusal("_Public", f"Invalid value provided for 'flavorKeyName': {flavor}.")
        if (flavor or image) and "0" in options.disks(template):
            raise refusal("_Public", "The first disk is that of the flavor or of the image template.")
        if template["localDiskFlag"] != bool(re.match(r"[A-Z]+L\d?_", flavor)) and flavor:
            raise refusal("_Public", "The local disk flag does not match the flavor.")
        system = template.get("operatingSystemReferenceCode")
        if bool(system) == bool(image):
            raise refusal("_Public", "Name an operating system or an image.")
        if system and system not in options.SYSTEMS:
            raise refusal("_Public", "Invalid value provided for 'operatingSystemReferenceCode'.")

    def _template(self, request: Request) -> dict[str, Any]:
        self._check(request.args[0])
        return options.order(request.args[0])

    def _order(self, guest: Guest) -> Order:
        cores, memory_mb = guest.size
        user_data = (guest.template.get("userData") or [{"value": ""}])[0]["value"]
        data = options.disks(guest.template).get("2", 0)
        return Order(guest.id, guest.name, cores, memory_mb / 1024, data, user_data, guest.image)

    def _list(self, request: Request) -> tuple[list[Any], int]:
        seen = self.machines.seen() if self.guests else {}
        now = time.monotonic()
        visible = [g for g in self.guests.values() if now >= g.ordered + self.delays.visible]
        return self._some([render(guest, seen) for guest in visible], request, GUEST)

    def _some(
        self, things: list[dict[str, Any]], request: Request, known: filters.Tree | None = None
    ) -> tuple[list[Any], int]:
        found = filters.matching(things, request.filter or {})
        offset = request.offset or 0
        page = found[offset : offset + min(request.limit or PAGE, PAGE)]
        if known is GUEST and self.heavy and len(page) > self.heavy:
            raise refusal("", "Internal Error")
        plain = PLAIN if known is GUEST else [name for name, below in (known or {}).items() if not below]
        mask = filters.parse(request.mask) if request.mask else {name: {} for name in plain}
        return [filters.masked(each, mask, known or {name: {} for name in each}) for each in page], len(found)

    def _find(self, request: Request) -> Guest:
        guest = self.guests.get(int(request.identifier))
        if guest is None:
            raise refusal("_ObjectNotFound", f"Unable to find object with id of '{request.identifier}'.")
        return guest

    def _cancel(self, request: Request) -> bool:
        guest = self._find(request)
        self._require_idle(guest)
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
        self._require_idle(guest)
        if self.machines.seen()[guest.id].runs == on:
            raise refusal(f"_Virtual_Guest_Already{'Running' if on else 'Halted'}", "It is so already.")
        guest.off_by_api = not on
        guest.busy_until = time.monotonic() + self.delays.transaction
        self.machines.power(guest.id, on=on)
        return True

    def _require_idle(self, guest: Guest) -> None:
        if doing(guest):
            raise refusal("_Public", "There is currently an outstanding transaction for this server.")
