"""The machines behind the emulator: local nodes that boot with the given user-data, or none at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from typing import Protocol

from provision.core.errors import ProviderError
from provision.providers.local import client
from tests.emulators import hardware
from tests.names import MARK

MEMORY_CAP_GB, CORES_CAP = 3.0, 4
"""A type with more is emulated by a node with this."""

HOOK = """\
#cloud-boothook
#!/bin/sh
# What the kernel and udev do on a real instance: the data volume's stable names.
case "$(cat /etc/hostname)" in
{cases}
*) exit 0 ;;
esac
by_id=/dev/disk/by-id
mkdir -p $by_id
ln -sfn /dev/xvdc $by_id/nvme-Amazon_Elastic_Block_Store_$volume
ln -sfn /dev/xvdc /dev/xvdf
{{ echo "d $by_id"; echo "L $by_id/nvme-Amazon_Elastic_Block_Store_$volume - - - - /dev/xvdc"; echo "L /dev/xvdf - - - - /dev/xvdc"; }} > /etc/tmpfiles.d/ebs.conf
"""


@dataclass(frozen=True)
class Wish:
    """Machines of one call. `volumes`: instance id -> id of its data volume."""

    ids: Sequence[str]
    cores: int
    memory_gb: float
    user_data: str
    recipe: str
    disk_gb: int
    volumes: Mapping[str, str]


class Nodes(Protocol):
    """What is behind the emulator."""

    def create(self, wish: Wish) -> dict[str, str]:
        """Boot machines; return their addresses by id ({} = whatever moto chooses)."""
        ...

    def change(self, verb: str, ids: Sequence[str]) -> None:
        """`start`, `stop` or `delete` machines."""
        ...

    def addresses(self) -> dict[str, str]:
        """Return the addresses of the machines by id; they may be others after a start."""
        ...

    def ended(self) -> list[str]:
        """Return the machines that have powered themselves off."""
        ...

    def capture(self, own: str) -> str:
        """Make what a machine has on its system disk a layer; return the layer's key ('' = there is none)."""
        ...


class NoNodes:
    """Machines that only exist in the books."""

    def create(self, wish: Wish) -> dict[str, str]:
        return {}

    def change(self, verb: str, ids: Sequence[str]) -> None:
        pass

    def addresses(self) -> dict[str, str]:
        return {}

    def ended(self) -> list[str]:
        return []

    def capture(self, own: str) -> str:
        return ""


class LocalNodes:
    """Nodes of this computer, in a local cluster of their own."""

    def __init__(self, cluster_id: str) -> None:
        self.cluster_id = cluster_id

    def create(self, wish: Wish) -> dict[str, str]:
        body = {
            "cluster": f"{MARK}ec2-{self.cluster_id}",
            "cluster_id": self.cluster_id,
            "group": {
                "name": "ec2",
                "cores": min(wish.cores, CORES_CAP),
                "memory_gb": min(wish.memory_gb, MEMORY_CAP_GB),
                "data_disk_gb": wish.disk_gb,
            },
            "names": list(wish.ids),
            "token": wish.ids[0],
            "user_data": _parts(wish),
            "image": wish.recipe,
            "labels": {},
            "inherit": client.inherited(),
        }
        try:
            made = hardware.call("create", body)
        except ProviderError as error:
            if getattr(error, "kind", "") != "no_image" or wish.recipe:
                raise
            hardware.call("image-base", {})
            made = hardware.call("create", body)
        return {node["name"]: node["address"] for node in made}

    def change(self, verb: str, ids: Sequence[str]) -> None:
        hardware.call(verb, {"cluster_id": self.cluster_id, "names": list(ids)})

    def addresses(self) -> dict[str, str]:
        found = client.call("list", {"cluster_id": self.cluster_id})
        return {node["name"]: node["address"] for node in found}

    def ended(self) -> list[str]:
        found = client.call("list", {"cluster_id": self.cluster_id})
        return [node["name"] for node in found if node["state"] == "stopped"]

    def capture(self, own: str) -> str:
        key = f"{self._layers}{own}"
        hardware.call("image-commit", {"cluster_id": self.cluster_id, "name": own, "key": key, "meta": {}})
        return key

    def close(self) -> None:
        """Delete all of them, and the layers that were made of some."""
        found = client.call("list", {"cluster_id": self.cluster_id})
        self.change("delete", [node["name"] for node in found])
        layers = [
            image["key"] for image in client.call("image-list") if image["key"].startswith(self._layers)
        ]
        if layers:
            client.call("image-remove", {"keys": layers})

    @property
    def _layers(self) -> str:
        """What the keys of its layers begin with: no recipe's does."""
        return f"ec2-{self.cluster_id}-"


def _parts(wish: Wish) -> str:
    """Return the given user-data, word for word, beside a part that stands for the kernel and udev."""
    if not wish.volumes:
        return wish.user_data
    cases = "\n".join(f"{own}) volume={volume.replace('-', '')} ;;" for own, volume in wish.volumes.items())
    message = MIMEMultipart()
    message.attach(MIMEText(HOOK.format(cases=cases), "cloud-boothook"))
    message.attach(MIMEText(wish.user_data, "cloud-config"))
    return message.as_string()
