"""What to order, in the API's words. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from provision.core.spec import NodeGroup
from provision.providers.softlayer.config import SoftLayerSettings

ROOT_DEVICE, DATA_DEVICE = "0", "2"
"""Device numbers of the API; 1 is the swap disk."""
USER_DATA_LIMIT = 16384
"""Bytes. IBM says so of bare metal and of nothing else; it was 2,000 characters until 2018."""
_FLAVOR = re.compile(r"_(\d+)X(\d+)(?:X(\d+))?")
_LOCAL_FLAVOR = re.compile(r"[A-Z]+L\d?_")


@dataclass(frozen=True)
class Wish:
    """A group's machines as the API is asked for them. `memory_mb` MB, disks GB, `speed` Mbit/s.

    Where the config leaves a choice, `os` is '' and `flavor` too, unless the sizes are `literal`: those of
    2015, which are ordered as they are. `filtered`: a security group is bound to the public port.
    """

    cores: int
    memory_mb: int
    literal: bool
    flavor: str
    os: str
    image: str
    hourly: bool
    local_disk: bool
    disks: Mapping[str, int]
    speed: int
    datacenters: tuple[str, ...]
    domain: str
    private_vlan: int | None
    public_vlan: int | None
    private_only: bool
    filtered: bool
    ssh_keys: tuple[str, ...]
    tags: tuple[str, ...]

    @property
    def data_disk_gb(self) -> int:
        """GB of the data disk; 0 = none."""
        return self.disks.get(DATA_DEVICE, 0)

    @property
    def suspends(self) -> bool:
        """Whether powering off by the API ends the bill for all but the disks; IBM's own conditions."""
        return self.hourly and not self.local_disk and bool(self.flavor)

    def with_flavor(self, flavor: str) -> Wish:
        """Return the wish for a flavor, which brings its own first disk and says where disks are."""
        disks = {device: size for device, size in self.disks.items() if device != ROOT_DEVICE}
        return replace(self, flavor=flavor, disks=disks, local_disk=bool(_LOCAL_FLAVOR.match(flavor)))


def flavor_size(name: str) -> dict[str, float]:
    """Return cores, memory_gb and disk_gb as a flavor's name tells, such as B1_2X4X25; else {}."""
    size = _FLAVOR.search(name)
    if not size:
        return {}
    return {"cores": float(size[1]), "memory_gb": float(size[2]), "disk_gb": float(size[3] or 0)}


def wish(group: NodeGroup) -> Wish:
    """Return what a group's config means; the 2015 system's keys win where they are given."""
    settings = SoftLayerSettings.of(group)
    disks = {ROOT_DEVICE: settings.root_disk_gb}
    if group.data_disk_gb:
        disks[DATA_DEVICE] = group.data_disk_gb
    if settings.blockDevices:
        disks = {str(each["device"]): int(each["diskImage"]["capacity"]) for each in settings.blockDevices}
    speeds = [int(component["maxSpeed"]) for component in settings.networkComponents]
    wished = Wish(
        cores=settings.startCpus or group.cores,
        memory_mb=settings.maxMemory or round(group.memory_gb * 1024),
        literal=settings.startCpus is not None or settings.maxMemory is not None,
        flavor="",
        os=settings.operatingSystemReferenceCode or settings.os,
        image=settings.image,
        hourly=settings.hourly if settings.hourlyBillingFlag is None else settings.hourlyBillingFlag,
        local_disk=settings.disk != "san" if settings.localDiskFlag is None else settings.localDiskFlag,
        disks=disks,
        speed=speeds[0] if speeds else settings.network_speed,
        datacenters=tuple(settings.datacenter),
        domain=settings.domain,
        private_vlan=settings.private_vlan,
        public_vlan=settings.public_vlan,
        private_only=settings.private_only,
        filtered=settings.security_group and not settings.private_only,
        ssh_keys=tuple(settings.ssh_keys),
        tags=tuple(settings.tags),
    )
    return wished.with_flavor(settings.flavor) if settings.flavor else wished


def template(
    wish: Wish,
    *,
    hostname: str,
    domain: str,
    datacenter: str,
    user_data: str = "",
    image_id: str = "",
    key_ids: Sequence[int] = (),
    security_group: int | None = None,
) -> dict[str, Any]:
    """Return the template of one guest for createObjects.

    Args:
        wish: the group's.
        hostname: the machine's name.
        domain: with the nonce.
        datacenter: where.
        user_data: for its first boot.
        image_id: global identifier of an image template; '' = the operating system as the API installs it.
        key_ids: SSH keys of the account.
        security_group: id of what filters the public port; None = nothing does.
    """
    # An image template brings its own first disk, as a flavor does.
    disks = {device: gb for device, gb in wish.disks.items() if not (image_id and device == ROOT_DEVICE)}
    made: dict[str, Any] = {
        "hostname": hostname,
        "domain": domain,
        "datacenter": {"name": datacenter},
        "hourlyBillingFlag": wish.hourly,
        "localDiskFlag": wish.local_disk,
        "networkComponents": [{"maxSpeed": wish.speed}],
        "privateNetworkOnlyFlag": wish.private_only,
        "blockDevices": [
            {"device": device, "diskImage": {"capacity": size}} for device, size in sorted(disks.items())
        ],
    }
    if wish.flavor:
        made["supplementalCreateObjectOptions"] = {"flavorKeyName": wish.flavor}
    else:
        made |= {"startCpus": wish.cores, "maxMemory": wish.memory_mb}
    if image_id:
        made["blockDeviceTemplateGroup"] = {"globalIdentifier": image_id}
    else:
        made["operatingSystemReferenceCode"] = wish.os
    if wish.private_vlan:
        made["primaryBackendNetworkComponent"] = {"networkVlan": {"id": wish.private_vlan}}
    public: dict[str, Any] = {}
    if wish.public_vlan:
        public["networkVlan"] = {"id": wish.public_vlan}
    if security_group is not None:
        public["securityGroupBindings"] = [{"securityGroup": {"id": security_group}}]
    if public:
        made["primaryNetworkComponent"] = public
    if key_ids:
        made["sshKeys"] = [{"id": key} for key in key_ids]
    if user_data:
        made["userData"] = [{"value": user_data}]
    return made
