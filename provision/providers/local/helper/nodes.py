"""The verbs on nodes: batched, concurrent, and convergent after a kill at any moment."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from . import (
    capacity,
    cgroups,
    disks,
    idmap,
    images,
    machines,
    network,
    registry,
    rootfs,
    shapes,
    supervisor,
    validate,
)
from .errors import HelperError
from .registry import ROOT, Network, Node, Registry
from .rootfs import Seed
from .system import remove_tree, say, until, write

WORKERS = 8
BUILDER = re.compile(r"image-[0-9a-f]{8}")  # what makes an image is named after its recipe
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
            net, inherit = state.networks[cluster_id], validate.mapping(request.get("inherit"), "inherit")
            net.admit(rootfs.ports_here(inherit))
        seed = Seed(user_data, builder=bool(BUILDER.fullmatch(net.name)))
        bring_up(nodes, net, seed, inherit)
    say(f"{len(nodes)} machines booted in {time.monotonic() - started:.2f} s")
    return [machines.describe(node) for node in nodes]


def _record(state: Registry, request: dict[str, Any], cluster_id: str, names: list[str]) -> list[Node]:
    """Write down what is going to exist; nothing has happened yet."""
    cluster = validate.name(request.get("cluster"), "cluster")
    token = validate.token(request.get("token"))
    group = validate.mapping(request.get("group"), "group")
    size = shapes.sizes(group)
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
            unit = secrets.token_hex(5)
            node = Node(
                name=name,
                group=validate.name(group.get("name"), "group"),
                cluster_id=cluster_id,
                unit=unit,
                first_id=idmap.choose(unit, state.first_ids()),
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


def raise_networks(network_id: str) -> Registry:
    """Make the network of a cluster or store work, unless it is gone, and let it reach its stores.

    Under the registry's lock: nobody writes who may ask a store after having read it before another did.
    Returns the registry.
    """
    with registry.changing() as state:
        own = [state.networks[network_id]] if network_id in state.networks else []
        for one in (*own, *(store for store in state.stores_of(network_id) if network.is_up(store))):
            network.up(one, state.clients(one.id))
    return state


def bring_up(nodes: Sequence[Node], net: Network, seed: Seed | None, inherit: dict[str, Any]) -> None:
    """Make everything up to running machines, whatever part of it exists.

    Args:
        nodes: machines of one cluster.
        net: their network.
        seed: first-boot data; None for machines that have been booted before.
        inherit: settings of the caller for new machines.
    """
    network.room_for_nodes(len(raise_networks(net.id).nodes))

    def one(node: Node) -> None:
        if cgroups.processes(node.unit):
            return
        if not node.first_id:
            raise HelperError(
                f"machine {node.name} was made by an older version, without user ids of its own; "
                f"destroy its cluster and make it again",
                kind="refused",
            )
        if seed is None and not node.prepared.exists():
            raise HelperError(f"machine {node.name} was never completed; delete it and create it again")
        if seed is not None and not node.prepared.exists():
            discard(node)
            if seed.builder and not node.disk_gb:
                write(node.builder, "")
        registry.own_artifacts(node.owner)
        root = disks.mount_root(node)
        if seed is not None and not node.prepared.exists():
            idmap.as_root_of(node.first_id, partial(rootfs.prepare, node, net, root, seed, inherit))
            write(node.prepared, "")
        supervisor.boot(node)

    together(one, nodes)


def discard(node: Node) -> None:
    """Take away everything of a node that does not run."""
    disks.release(node)
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
            bring_up(nodes, state.networks[nodes[0].cluster_id], None, {})


def reach(request: dict[str, Any]) -> list[str]:
    """What keeps packets of a cluster that is up, and of its stores, from going where they should.

    A firewall that was started or loaded anew after the cluster does that, silently; `mend` puts it right.
    """
    cluster_id = validate.hex_id(request.get("cluster_id"))
    state = registry.load()
    if cluster_id not in state.networks:
        return []
    net = state.networks[cluster_id]
    registry.authorize(net.owner, f"cluster {net.name}")
    found = [
        fault
        for one in (net, *state.stores_of(cluster_id))
        if network.is_up(one)
        for fault in network.faults(one)
    ]
    if found and request.get("mend"):
        with registry.cluster_lock(cluster_id):
            raise_networks(cluster_id)
    return list(dict.fromkeys(found))


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
    disks.release(node)


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
