"""Instance types: what they have, and whether that is what a group asks for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from provision.core.errors import NotReady
from provision.core.spec import NodeGroup
from provision.providers.ec2 import gpus
from provision.providers.ec2.client import Clients, code_of, message_of, translate, translate_errors
from provision.providers.ec2.config import Ec2Settings
from provision.providers.facts import is_gpu_group

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

ARCHITECTURES = ("x86_64", "arm64")
"""What images there are for, the preferred one first."""


@dataclass(frozen=True)
class Kind:
    """An instance type. `memory_gb`: GiB. `gpus`: NVIDIA's only, a share of one counts as one."""

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
        try:
            for raw in _described(client, missing):
                kind = _kind(raw)
                self._known[region, kind.name] = kind
        except ClientError as error:
            if code_of(error) in ("InvalidInstanceType", "InvalidParameterValue"):
                raise NotReady(
                    where="instance_type",
                    what=f"there is no such instance type in {region}: {message_of(error)}",
                    remedy="aws ec2 describe-instance-types lists them",
                ) from error
            raise translate(error, "instance_type") from error
        absent = [name for name in wanted if (region, name) not in self._known]
        if absent:
            raise NotReady(
                where="instance_type",
                what=f"there is no instance type {', '.join(absent)} in {region}",
                remedy="aws ec2 describe-instance-types lists them",
            )
        return {name: self._known[region, name] for name in wanted}

    @staticmethod
    def cores(client: EC2Client, names: Iterable[str]) -> dict[str, int]:
        """Return the vCPUs of instance types of any kind. Raises as boto3 does."""
        described = _described(client, sorted(set(names)))
        return {str(raw["InstanceType"]): raw["VCpuInfo"]["DefaultVCpus"] for raw in described}

    def require(self, region: str, group: NodeGroup) -> list[Kind]:
        """Return the types that a group may have, in its order.

        Raises:
            NotReady: one of them has less than the group asks for, or a GPU that cannot compute; some have
                GPUs and some have none; or none is named.
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
            _require_driver(known[name], group)
        if len({known[name].gpus > 0 for name in names}) > 1:
            raise NotReady(
                where=f"groups.{group.name}.instance_type",
                what=f"some of {', '.join(names)} have a GPU and some have none: they need different images",
                remedy="Make two groups of them",
            )
        return [known[name] for name in names]


def _described(client: EC2Client, names: Sequence[Any]) -> Iterator[Any]:
    """Yield instance types as AWS describes them, a hundred with each call. Raises as boto3 does."""
    for start in range(0, len(names), 100):
        yield from client.describe_instance_types(InstanceTypes=names[start : start + 100])["InstanceTypes"]


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


def _require_driver(kind: Kind, group: NodeGroup) -> None:
    if kind.gpus and (reason := gpus.why_not(kind.name)):
        raise NotReady(
            where=f"groups.{group.name}.instance_type",
            what=reason,
            remedy=f"Name one of the families {', '.join(gpus.DRIVEN)}",
        )


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
    found = raw.get("GpuInfo", {}).get("Gpus", [])
    return Kind(
        name=name,
        cores=raw["VCpuInfo"]["DefaultVCpus"],
        memory_gb=raw["MemoryInfo"]["SizeInMiB"] / 1024,
        architecture=architecture,
        gpus=sum(_count(gpu) for gpu in found if gpu.get("Manufacturer") == "NVIDIA"),
        nvme=raw.get("Hypervisor", "nitro") != "xen",
    )


def _count(gpu: Any) -> int:  # noqa: ANN401  (AWS's own structure)
    """Return how many GPUs a machine sees: of one that is shared out AWS says 0, and how many parts."""
    return int(gpu.get("Count", 1) or gpu.get("LogicalGpuCount", 0))
