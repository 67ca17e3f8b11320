"""The verbs on nodes: batched, concurrent, and convergent after a kill at any moment."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from . import capacity, cgroups, disks, images, network, registry, rootfs, supervisor, validate
from .errors import HelperError
from .registry import ROOT, Network, Node, Registry
from .rootfs import Seed
from .system import remove_tree, say, until, write

WORKERS = 8
HOSTS = range(10, 250)


def create(request: dict[str, Any]) -> list[dict[str, Any]]:
    """Make and boot machines; the same token twice gives the same machines."""
    cluster_id = validate.hex_id(request.get("cluster_id"))
    names = validate.names(request.get("names"))
    user_data = validate.text(request.get("user_data"), "user_data", 512 * 1024)
    started = time.monotonic()
    with registry.cluster_lock(cluster_id):
        with registry.changing() as state:
            sweep(state, keep=cluster_id)
            nodes = _record(state, request, cluster_id, names)
            net = state.networks[cluster_id]
            total = len(state.nodes)
        seed = Seed(user_data, builder=net.name.startswith("image-"))
        bring_up(nodes, net, total, seed, validate.mapping(request.get("inherit"), "inherit"))
    say(f"{len(nodes)} machines booted in {time.monotonic() - started:.2f} s")
    return [describe(node) for node in nodes]


def _record(state: Registry, request: dict[str, Any], cluster_id: str, names: list[str]) -> list[Node]:
    """Write down what is going to exist; nothing has happened yet."""
    cluster = validate.name(request.get("cluster"), "cluster")
    token = validate.token(request.get("token"))
    group = validate.mapping(request.get("group"), "group")
    size = sizes(group)
    existing = {node.name: node for node in state.of(cluster_id)}
    for name in names:
        if (node := existing.get(name)) and (node.token != token or node.deleting):
            doing = "is being deleted" if node.deleting else "exists already, made by another call"
            raise HelperError(f"machine {name} of cluster {cluster} {doing}", kind="exists")
    missing = [name for name in names if name not in existing]
    if missing:
        capacity.require_memory(
            state, [capacity.Wish(len(missing), size["memory_mb"])], capacity.total_memory_mb()
        )
        capacity.require_disk(len(missing), f"{len(missing)} more nodes")
        net = network_of(state, cluster_id, cluster, validate.subnet(group.get("subnet")))
        image = validate.image_key(request.get("image"))
        lower = images.lower(image)
        for name in missing:
            node = Node(
                name=name,
                group=validate.name(group.get("name"), "group"),
                cluster_id=cluster_id,
                unit=secrets.token_hex(5),
                token=token,
                address=next_address(state, net),
                image=image,
                lower=lower,
                created=time.time(),
                owner=registry.caller(),
                labels=validate.labels(request.get("labels", {})),
                **size,
            )
            state.nodes[node.key] = node
    registry.authorize(state.networks[cluster_id].owner, f"cluster {cluster}")
    return [state.nodes[f"{name}.{cluster_id}"] for name in names]


def sizes(group: dict[str, Any]) -> dict[str, Any]:
    """The validated size of a group's machines."""
    return {
        "cores": float(validate.number(group.get("cores"), "cores", 0.1, 1024)),
        "memory_mb": int(validate.number(group.get("memory_gb"), "memory_gb", 0.25, 65536) * 1024),
        "disk_gb": int(validate.number(group.get("data_disk_gb", 0), "data_disk_gb", 0, 65536)),
    }


def network_of(state: Registry, cluster_id: str, name: str, wish: str = "") -> Network:
    """The network of a cluster, chosen when it has none."""
    if cluster_id not in state.networks:
        taken = [*network.host_networks(), *(IPv4Network(net.subnet) for net in state.networks.values())]
        subnet = network.choose(taken, wish)
        state.networks[cluster_id] = Network(id=cluster_id, name=name, subnet=subnet, owner=registry.caller())
    net = state.networks[cluster_id]
    if wish not in ("", net.subnet):
        raise HelperError(f"{name} has subnet {net.subnet}; destroy it to move it to {wish}", kind="refused")
    return net


def next_address(state: Registry, net: Network) -> str:
    """A free address of a network, the longest unused one first."""
    used = {node.address for node in state.of(net.id)}
    for offset in range(len(HOSTS)):
        host = HOSTS[(net.next_host - HOSTS.start + offset) % len(HOSTS)]
        if f"{net.prefix}{host}" not in used:
            net.next_host = host + 1
            return f"{net.prefix}{host}"
    raise HelperError(f"subnet {net.subnet} has no free address left", kind="not_ready")


def bring_up(
    nodes: Sequence[Node], net: Network, total: int, seed: Seed | None, inherit: dict[str, Any]
) -> None:
    """Make everything up to running machines, whatever part of it exists.

    Args:
        nodes: machines of one cluster.
        net: their network.
        total: machines on this computer, for its limits.
        seed: first-boot data; None for machines that have been booted before.
        inherit: settings of the caller for new machines.
    """
    network.up(net)
    network.room_for_nodes(total)

    def one(node: Node) -> None:
        if cgroups.processes(node.unit):
            return
        if seed is None and not node.prepared.exists():
            raise HelperError(f"machine {node.name} was never completed; delete it and create it again")
        if seed is not None and not node.prepared.exists():
            discard(node)
        registry.own_artifacts(node.owner)
        root = disks.mount_root(node)
        if seed is not None and not node.prepared.exists():
            rootfs.prepare(node, net, root, seed, inherit)
            write(node.prepared, "")
        supervisor.boot(node, disks.attach(node))

    together(one, nodes)


def discard(node: Node) -> None:
    """Take away everything of a node that does not run."""
    disks.unmount_root(node)
    disks.detach(node)
    remove_tree(node.directory)


def together(action: Callable[[Node], None], nodes: Sequence[Node]) -> None:
    """Do it to all nodes at once, to the end; then raise the first failure."""
    with ThreadPoolExecutor(WORKERS) as pool:
        errors = [error for error in pool.map(lambda node: _outcome(action, node), nodes) if error]
    if errors:
        more = f" (and {len(errors) - 1} more machines)" if len(errors) > 1 else ""
        raise HelperError(f"{errors[0]}{more}", kind=errors[0].kind)


def _outcome(action: Callable[[Node], None], node: Node) -> HelperError | None:
    try:
        action(node)
    except HelperError as error:
        return error
    except OSError as error:
        return HelperError(f"machine {node.name}: {error}")
    return None


def describe(node: Node) -> dict[str, Any]:
    """What the caller gets to know about a machine."""
    known = asdict(node)
    known["provider_id"] = node.key
    known["state"] = condition(node)
    return known


def condition(node: Node) -> str:
    """The state of a machine, seen from its processes."""
    if node.deleting:
        return "deleting"
    if not node.prepared.exists():
        return "pending"
    return "running" if cgroups.processes(node.unit) else "stopped"


def listing(request: dict[str, Any]) -> list[dict[str, Any]]:
    """The machines of one cluster."""
    cluster_id = validate.hex_id(request.get("cluster_id"))
    return [describe(node) for node in registry.load().of(cluster_id)]


def listing_all(request: dict[str, Any]) -> list[dict[str, Any]]:  # noqa: ARG001  every verb takes one
    """The machines of every cluster of this computer, those of object stores left out."""
    state = registry.load()
    found = []
    for node in state.nodes.values():
        if not node.store and node.cluster_id in state.networks:
            known = describe(node)
            owner = {"cluster": state.networks[node.cluster_id].name, "cluster_id": node.cluster_id}
            mine = registry.caller() in (0, node.owner)
            found.append({**known, "labels": {**known["labels"], **owner, "mine": "yes" if mine else "no"}})
    return found


def label(request: dict[str, Any]) -> None:
    """Give machines labels that they keep; labels that are not mentioned stay."""
    cluster_id = validate.hex_id(request.get("cluster_id"))
    wanted = validate.mapping(request.get("labels"), "labels")
    with registry.cluster_lock(cluster_id), registry.changing() as state:
        for node in state.of(cluster_id):
            if node.key in wanted:
                registry.authorize(node.owner, f"machine {node.name}")
                node.labels |= validate.labels(wanted[node.key])


def _chosen(state: Registry, request: dict[str, Any]) -> list[Node]:
    cluster_id = validate.hex_id(request.get("cluster_id"))
    names = request.get("names")
    wanted = set(validate.names(names)) if names else set()
    nodes = [node for node in state.of(cluster_id) if node.name in wanted]
    for node in nodes:
        registry.authorize(node.owner, f"machine {node.name}")
    return nodes


def start(request: dict[str, Any]) -> None:
    """Boot stopped machines with the same disks and addresses."""
    with registry.cluster_lock(validate.hex_id(request.get("cluster_id"))):
        state = registry.load()
        nodes = _chosen(state, request)
        if nodes:
            bring_up(nodes, state.networks[nodes[0].cluster_id], len(state.nodes), None, {})


def stop(request: dict[str, Any]) -> None:
    """Power machines off in an orderly way; kill what does not end within 15 s."""
    with registry.cluster_lock(validate.hex_id(request.get("cluster_id"))):
        together(power_off, _chosen(registry.load(), request))


def power_off(node: Node, deadline_s: float = 15) -> None:
    """Ask the machine to end, wait for it, then free what it held; its disks stay."""
    init = cgroups.init(node.unit)
    if init is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(init, signal.SIGRTMIN + 4)
        until(lambda: not cgroups.processes(node.unit), deadline_s, 0.02)
    supervisor.halt(node)
    disks.unmount_root(node)
    disks.detach(node)


def delete(request: dict[str, Any]) -> None:
    """Take machines away with all traces; with the last one the network goes too."""
    cluster_id = validate.hex_id(request.get("cluster_id"))
    with registry.cluster_lock(cluster_id):
        with registry.changing() as state:
            nodes = _chosen(state, request)
            for node in nodes:
                node.deleting = True

        def one(node: Node) -> None:
            supervisor.halt(node)
            discard(node)

        together(one, nodes)
        with registry.changing() as state:
            for node in nodes:
                del state.nodes[node.key]
            sweep(state)


def sweep(state: Registry, keep: str = "") -> None:
    """Clean what killed runs left: networks without machines, and half-deleted directories.

    Args:
        state: the registry, locked.
        keep: a cluster whose network is about to be used.
    """
    stores = {store.network_id: store for store in state.stores.values()}
    for net in list(state.networks.values()):
        store = stores.get(net.id)
        if net.id == keep or (store.clusters if store else state.of(net.id)):
            continue
        if store is None:
            network.down(net)
            del state.networks[net.id]
        elif network.is_up(net) and not any(cgroups.processes(node.unit) for node in state.of(net.id)):
            network.down(net)
    for directory in (ROOT / "nodes", ROOT / "stores"):
        for leftover in directory.glob(".gone-*") if directory.is_dir() else ():
            if not Path("/proc", leftover.name.rsplit("-", 1)[-1]).exists():
                remove_tree(leftover)
