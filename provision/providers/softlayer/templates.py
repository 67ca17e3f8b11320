"""What to order, in the API's words. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provision.core.spec import NodeGroup
from provision.providers.softlayer.config import SoftLayerSettings

DEFAULT_OS = "DEBIAN_13_64"
ROOT_DEVICE, DATA_DEVICE = "0", "2"
"""Device numbers of the API; 1 is the swap disk."""


@dataclass(frozen=True)
class Wish:
    """A group's machines as the API is asked for them. `memory_mb` MB, disks GB, `speed` Mbit/s."""

    cores: int
    memory_mb: int
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
    ssh_keys: tuple[str, ...]
    tags: tuple[str, ...]

    @property
    def data_disk_gb(self) -> int:
        """GB of the data disk; 0 = none."""
        return self.disks.get(DATA_DEVICE, 0)


def wish(group: NodeGroup) -> Wish:
    """Return what a group's config means; the 2015 system's keys win where they are given."""
    settings = SoftLayerSettings.of(group)
    disks = {ROOT_DEVICE: settings.root_disk_gb}
    if group.data_disk_gb:
        disks[DATA_DEVICE] = group.data_disk_gb
    if settings.blockDevices:
        disks = {str(each["device"]): int(each["diskImage"]["capacity"]) for each in settings.blockDevices}
    if settings.flavor:
        disks.pop(ROOT_DEVICE, None)  # a flavor brings its own
    speeds = [int(component["maxSpeed"]) for component in settings.networkComponents]
    return Wish(
        cores=settings.startCpus or group.cores,
        memory_mb=settings.maxMemory or round(group.memory_gb * 1024),
        flavor=settings.flavor,
        os=settings.operatingSystemReferenceCode or settings.os or DEFAULT_OS,
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
        ssh_keys=tuple(settings.ssh_keys),
        tags=tuple(settings.tags),
    )


def template(
    wish: Wish,
    *,
    hostname: str,
    domain: str,
    datacenter: str,
    user_data: str = "",
    image_id: str = "",
    key_ids: Sequence[int] = (),
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
    """
    made: dict[str, Any] = {
        "hostname": hostname,
        "domain": domain,
        "datacenter": {"name": datacenter},
        "hourlyBillingFlag": wish.hourly,
        "localDiskFlag": wish.local_disk,
        "networkComponents": [{"maxSpeed": wish.speed}],
        "privateNetworkOnlyFlag": wish.private_only,
        "blockDevices": [
            {"device": device, "diskImage": {"capacity": size}} for device, size in sorted(wish.disks.items())
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
    if wish.public_vlan:
        made["primaryNetworkComponent"] = {"networkVlan": {"id": wish.public_vlan}}
    if key_ids:
        made["sshKeys"] = [{"id": key} for key in key_ids]
    if user_data:
        made["userData"] = [{"value": user_data}]
    return made
