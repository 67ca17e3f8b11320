"""Guests as the API lists them -> machines. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from provision.core.model import Machine, NodeState
from provision.core.names import BILLS_ON
from provision.providers.softlayer import identity
from provision.providers.softlayer.templates import DATA_DEVICE

MASK = (
    "mask[id,hostname,domain,createDate,provisionDate,primaryIpAddress,primaryBackendIpAddress,maxCpu,maxMemory,"
    "notes,datacenter[name],powerState[keyName],status[keyName],activeTransaction[id,transactionStatus[name]],"
    "lastOperatingSystemReload[id],blockDevices[device,diskImage[capacity]],blockDeviceTemplateGroup[name],"
    "tagReferences[tag[name]]]"
)
DEVICE = "/dev/xvdc"
"""Where a guest sees device number 2."""
OFF, OFF_BY_API = "off", "api"
"""Label of guests that the API has powered off: those that went off by themselves bill as if they ran."""
REPORTED = ("cores", "memory_gb", "data_disk_gb")
"""Labels that need not be kept: the API reports them of every guest."""


def dig(raw: Any, *path: str) -> Any:  # noqa: ANN401  whatever the API sends
    """Return what lies at a path of keys; None when it ends before."""
    for key in path:
        raw = raw.get(key) if isinstance(raw, dict) else None
    return raw


def state(raw: dict[str, Any]) -> NodeState:
    """Return a guest's state. Running is what the API says; that it booted is proven by SSH."""
    doing = transaction(raw)
    if dig(raw, "status", "keyName") == "DISCONNECTED" or "RECLAIM" in doing or "CANCEL" in doing:
        return NodeState.DELETING
    reload, active = dig(raw, "lastOperatingSystemReload", "id"), dig(raw, "activeTransaction", "id")
    if not raw.get("provisionDate") or (reload and reload == active):
        return NodeState.PENDING
    power = str(dig(raw, "powerState", "keyName"))
    return {"RUNNING": NodeState.RUNNING, "HALTED": NodeState.STOPPED}.get(power, NodeState.PENDING)


def transaction(raw: dict[str, Any]) -> str:
    """Return the name of what the API is doing to a guest; '' = nothing."""
    name = dig(raw, "activeTransaction", "transactionStatus", "name")
    return str(name or ("unnamed" if raw.get("activeTransaction") else ""))


def tags(raw: dict[str, Any]) -> list[str]:
    """Return a guest's tags."""
    return [str(dig(entry, "tag", "name")) for entry in raw.get("tagReferences") or []]


def machine(
    raw: dict[str, Any], *, ssh_address: str = "auto", cluster: str = "", groups: Iterable[str] = ()
) -> Machine:
    """Return a guest as a machine.

    Args:
        raw: the guest.
        ssh_address: `public`, `private`, or `auto` = the public one when there is one.
        cluster: its cluster's name, for guests that have no tags yet.
        groups: the cluster's groups, likewise.
    """
    name = str(raw["hostname"])
    cluster_id, token = identity.nonce(str(raw["domain"]))
    cluster, group = identity.owner(name, tags(raw), cluster)
    group = next((g for g in groups if group in (g, g.replace("_", "-"))), group)
    now = state(raw)
    up = now is not NodeState.PENDING
    private = str(raw.get("primaryBackendIpAddress") or "") if up else ""
    public = str(raw.get("primaryIpAddress") or "") if up else ""
    disks = {str(d.get("device")): dig(d, "diskImage", "capacity") for d in raw.get("blockDevices") or []}
    labels = identity.labels(str(raw.get("notes") or "")) | {"cluster": cluster, "cluster_id": cluster_id}
    if raw.get("maxCpu") and raw.get("maxMemory"):
        reported = (str(raw["maxCpu"]), f"{raw['maxMemory'] / 1024:g}", str(disks.get(DATA_DEVICE) or 0))
        labels |= dict(zip(REPORTED, reported, strict=True))
    if now is NodeState.STOPPED and labels.get(OFF) != OFF_BY_API:
        labels[BILLS_ON] = "yes"
    image = str(dig(raw, "blockDeviceTemplateGroup", "name") or "")
    return Machine(
        provider_id=str(raw["id"]),
        name=name,
        group=group,
        state=now,
        address=private or public,
        ssh_address={"public": public, "private": private}.get(ssh_address, public or private),
        created=_seconds(str(raw.get("createDate") or "")),
        token=token,
        image=image.removeprefix(identity.IMAGE_PREFIX) if image.startswith(identity.IMAGE_PREFIX) else "",
        data_device=DEVICE if disks.get(DATA_DEVICE) else "",
        labels=labels,
        public=public,
    )


def _seconds(date: str) -> float:
    return datetime.fromisoformat(date).timestamp() if date else 0.0
