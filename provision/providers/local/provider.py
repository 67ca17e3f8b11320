"""The verbs of the provider `local`; all work is done by the root helper, one call per verb."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from provision.core.model import ClusterIdentity, CreateRequest, Machine, NodeState, Plan, Price
from provision.core.spec import ClusterSpec, NodeGroup
from provision.providers.base import Machines, Provider, Texts
from provision.providers.local import client
from provision.providers.local.config import LocalBlock
from provision.providers.local.facts import FACTS
from provision.providers.local.stores import MACHINE as STORE_MACHINE


class LocalProvider(Provider):
    """Machines on this computer."""

    name: ClassVar[str] = FACTS.name

    def check_ready(self, spec: ClusterSpec, plan: Plan) -> Texts:
        """Check programs, rights, memory over all clusters, disk and subnet."""
        groups = [
            {**group_request(group), "count": len(names)}
            for group, names in plan.create
            if group.provider == self.name
        ]
        subnet = spec.block(LocalBlock).subnet or ""
        grown = [
            {"machines": [machine.provider_id for machine in machines], "memory_gb": group.memory_gb}
            for group, machines in plan.reshape
        ]
        request: dict[str, Any] = {"cluster": spec.name, "groups": groups, "grown": grown, "subnet": subnet}
        if spec.object_store.here:
            request["store"] = {"name": spec.object_store.name, "memory_gb": STORE_MACHINE.memory_gb}
        client.call("ready", request)
        return []

    def list(self, cluster: ClusterIdentity) -> Machines:
        """Return the cluster's machines, their states seen from their processes."""
        return [machine(raw) for raw in client.call("list", {"cluster_id": cluster.id})]

    def create(self, request: CreateRequest) -> Machines:
        """Make and boot all machines of the request at once; they answer SSH a moment later."""
        body = {
            "cluster": request.cluster.name,
            "cluster_id": request.cluster.id,
            "group": group_request(request.group),
            "names": list(request.names),
            "token": request.token,
            "user_data": request.user_data,
            "image": request.image,
            "labels": dict(request.labels),
            "inherit": client.inherited(),
        }
        try:
            return [machine(raw) for raw in client.call("create", body)]
        except client.HelperFailed as error:
            if request.image or error.kind != "no_image":
                raise
        client.call("image-base")
        return [machine(raw) for raw in client.call("create", body)]

    def start(self, cluster: ClusterIdentity, machines: Sequence[Machine]) -> None:
        """Boot stopped machines again."""
        self._do("start", cluster, machines)

    def stop(self, cluster: ClusterIdentity, machines: Sequence[Machine]) -> None:
        """Power machines off."""
        self._do("stop", cluster, machines)

    def reshape(self, cluster: ClusterIdentity, group: NodeGroup, machines: Sequence[Machine]) -> None:
        """Write other limits down for machines that are off, which they boot with."""
        names = [machine.name for machine in machines]
        size = {"cores": group.cores, "memory_gb": group.memory_gb}
        labels = group.shape_labels
        client.call("reshape", {"cluster_id": cluster.id, "names": names, "size": size, "labels": labels})

    def delete(self, cluster: ClusterIdentity, machines: Sequence[Machine]) -> Texts:
        """Delete machines; without any, still remove what an interrupted delete left of the network."""
        self._do("delete", cluster, machines)
        return []

    def label(self, cluster: ClusterIdentity, labels: Mapping[str, Mapping[str, str]]) -> None:
        """Write labels of machines into the computer's registry."""
        client.call("label", {"cluster_id": cluster.id, "labels": {k: dict(v) for k, v in labels.items()}})

    def cut_off(self, cluster: ClusterIdentity, *, mend: bool = False) -> Texts:
        """Return what in this computer's firewall keeps the cluster's packets back."""
        return [str(fault) for fault in client.call("reach", {"cluster_id": cluster.id, "mend": mend})]

    def everything(self) -> Machines:
        """Return the machines of all clusters of this computer."""
        return [machine(raw) for raw in client.call("list-all")]

    def price(self, group: NodeGroup) -> Price | None:  # noqa: ARG002
        """Nobody is paid for machines of this computer."""
        return None

    @staticmethod
    def _do(verb: str, cluster: ClusterIdentity, machines: Sequence[Machine]) -> None:
        client.call(verb, {"cluster_id": cluster.id, "names": [machine.name for machine in machines]})


def group_request(group: NodeGroup) -> dict[str, Any]:
    """A group as the helper wants it."""
    return {
        "name": group.name,
        "cores": group.cores,
        "memory_gb": group.memory_gb,
        "data_disk_gb": group.data_disk_gb,
        "subnet": LocalBlock.of(group).subnet or "",
    }


def machine(raw: Mapping[str, Any]) -> Machine:
    """A machine as the helper describes it."""
    return Machine(
        provider_id=raw["provider_id"],
        name=raw["name"],
        group=raw["group"],
        state=NodeState(raw["state"]),
        address=raw["address"],
        ssh_address=raw["address"],
        created=raw["created"],
        token=raw["token"],
        image=raw["image"],
        labels=raw["labels"],
    )
