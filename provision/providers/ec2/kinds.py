"""Instance types: what they have, and whether that is what a group asks for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from provision.core.errors import NotReady
from provision.core.spec import NodeGroup
from provision.providers.ec2.client import Clients, code_of, message_of, translate, translate_errors
from provision.providers.ec2.config import Ec2Settings

ARCHITECTURES = ("x86_64", "arm64")
"""What images there are for, the preferred one first."""


@dataclass(frozen=True)
class Kind:
    """An instance type. `memory_gb`: GiB. `gpus`: NVIDIA's only."""

    name: str
    cores: int
    memory_gb: float
    architecture: str
    gpus: int
    nvme: bool
    """Disks are NVMe devices that are known by their volume's serial number; else they are /dev/xvd?."""


class Kinds:
    """Instance types by region, asked for once."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._known: dict[tuple[str, str], Kind] = {}

    def get(self, region: str, names: Iterable[str]) -> dict[str, Kind]:
        """Return instance types by name; one call for all that are not known yet.

        Raises:
            NotReady: there is no such type in the region.
        """
        wanted = sorted(set(names))
        missing = [name for name in wanted if (region, name) not in self._known]
        client = self._clients.ec2(region)
        for start in range(0, len(missing), 100):
            try:
                question: Any = {"InstanceTypes": missing[start : start + 100]}
                answer = client.describe_instance_types(**question)
            except ClientError as error:
                if code_of(error) in ("InvalidInstanceType", "InvalidParameterValue"):
                    raise NotReady(
                        where="instance_type",
                        what=f"there is no such instance type in {region}: {message_of(error)}",
                        remedy="aws ec2 describe-instance-types lists them",
                    ) from error
                raise translate(error, "instance_type") from error
            for raw in answer["InstanceTypes"]:
                kind = _kind(raw)
                self._known[region, kind.name] = kind
        absent = [name for name in wanted if (region, name) not in self._known]
        if absent:
            raise NotReady(
                where="instance_type",
                what=f"there is no instance type {', '.join(absent)} in {region}",
                remedy="aws ec2 describe-instance-types lists them",
            )
        return {name: self._known[region, name] for name in wanted}

    def require(self, region: str, group: NodeGroup) -> list[Kind]:
        """Return the types that a group may have, in its order.

        Raises:
            NotReady: one of them has less than the group asks for, or none is named.
        """
        names = Ec2Settings.of(group).instance_type
        if not names:
            raise NotReady(
                where=f"groups.{group.name}.instance_type",
                what="EC2 needs to know which machines to rent",
                remedy="Name a type such as m7i.large, or a list of types",
            )
        with translate_errors(f"groups.{group.name}.instance_type"):
            known = self.get(region, names)
        for name in names:
            _require_size(known[name], group)
        return [known[name] for name in names]


def is_gpu_group(group: NodeGroup) -> bool:
    """Return True for the group `gpu` and for groups called `gpu_…`."""
    return group.name.split("_")[0] == "gpu"


def _require_size(kind: Kind, group: NodeGroup) -> None:
    where = f"groups.{group.name}.instance_type"
    if is_gpu_group(group) and not kind.gpus:
        raise NotReady(
            where=where, what=f"{kind.name} has no GPU of NVIDIA", remedy="Name one such as g5.xlarge"
        )
    if kind.cores < group.cores:
        what = f"{kind.name} has {kind.cores} core(s), groups.{group.name}.cores asks for {group.cores}"
        raise NotReady(where=where, what=what, remedy="Name a larger type, or ask for fewer")
    if kind.memory_gb < group.memory_gb:
        key = f"groups.{group.name}.memory_gb"
        what = f"{kind.name} has {kind.memory_gb:g} GiB, {key} asks for {group.memory_gb:g}"
        raise NotReady(where=where, what=what, remedy="Name a larger type, or ask for less")


def _kind(raw: Any) -> Kind:  # noqa: ANN401  (AWS's own structure)
    supported = raw["ProcessorInfo"]["SupportedArchitectures"]
    name = raw["InstanceType"]
    architecture = next((known for known in ARCHITECTURES if known in supported), "")
    if not architecture:
        raise NotReady(
            where="instance_type",
            what=f"{name} is a machine of another kind ({', '.join(supported)})",
            remedy="Name a type with an x86_64 or arm64 processor",
        )
    gpus = raw.get("GpuInfo", {}).get("Gpus", [])
    return Kind(
        name=name,
        cores=raw["VCpuInfo"]["DefaultVCpus"],
        memory_gb=raw["MemoryInfo"]["SizeInMiB"] / 1024,
        architecture=architecture,
        gpus=sum(gpu.get("Count", 1) for gpu in gpus if gpu.get("Manufacturer") == "NVIDIA"),
        nvme=raw.get("Hypervisor", "nitro") != "xen",
    )
