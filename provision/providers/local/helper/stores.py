"""Object stores: one machine each, whose data, credentials and host key outlive it and every cluster."""

from __future__ import annotations

import json
import secrets
import time
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
    nodes,
    registry,
    rootfs,
    shapes,
    supervisor,
    validate,
)
from .errors import HelperError
from .registry import Node, Registry, Store
from .rootfs import Seed
from .system import remove_tree, run, say, write

MACHINE = "object-store"
HOST_KEY = "ssh_host_ed25519_key"
AUTHORIZED = "etc/muster/authorized_keys/muster"
# Before every other drop-in: of two keys of one kind sshd shows the first.
SSHD = f"""\
HostKey /etc/muster/{HOST_KEY}
AuthorizedKeysFile /etc/muster/authorized_keys/%u
"""


def opened(request: dict[str, Any]) -> dict[str, Any]:
    """Attach a cluster to a store; makes the store and boots its machine when needed."""
    asked = validate.name(request.get("store"), "store")
    name = registry.store_key(asked)
    cluster_id = validate.hex_id(request.get("cluster_id"))
    key = validate.public_key(request.get("public_key"))
    user_data = validate.text(request.get("user_data"), "user_data", 512 * 1024)
    size = shapes.sizes(validate.mapping(request.get("group"), "group"))
    image = validate.image_key(request.get("image"))
    images.lower(image)  # or it is told before anything is changed
    with registry.store_lock(name):
        _end_outdated(registry.load(), name, image, cluster_id)
        with registry.changing() as state:
            nodes.sweep(state)
            if cluster_id in state.networks:
                registry.authorize(state.networks[cluster_id].owner, f"cluster {cluster_id}")
            store = state.stores.get(name) or Store(
                name=name, network_id=secrets.token_hex(4), owner=registry.caller(), created=time.time()
            )
            registry.authorize(store.owner, f"object store {asked}")
            state.stores[name] = store
            net = nodes.network_of(state, store.network_id, f"store-{name}")
            node = next(iter(state.of(net.id)), None)
            if node is None or not cgroups.processes(node.unit):
                capacity.require_memory(
                    state, [capacity.Wish(1, size["memory_mb"])], capacity.total_memory_mb()
                )
                capacity.require_disk(1, f"object store {asked}")
            unit = secrets.token_hex(5)
            node = node or Node(
                name=MACHINE,
                group=MACHINE,
                cluster_id=net.id,
                unit=unit,
                first_id=idmap.choose(unit, state.first_ids()),
                token=f"store-{name}",
                address=f"{net.prefix}10",
                image=image,
                lower=images.lower(image),
                created=time.time(),
                owner=store.owner,
                store=name,
                **size,
            )
            state.nodes[node.key] = node
            store.clusters[cluster_id] = key
            inherit = validate.mapping(request.get("inherit"), "inherit")
            net.admit(rootfs.ports_here(inherit))
        known, host_key = kept(store)
        started = not cgroups.processes(node.unit)
        files = (
            (f"etc/muster/{HOST_KEY}", host_key, 0o600),
            ("etc/ssh/sshd_config.d/05-muster-store.conf", SSHD, 0o644),
        )
        nodes.bring_up([node], net, Seed(user_data, files), inherit)
        authorize_keys(store, node)
    return {"address": node.address, "started": started, "network_id": net.id, "name": name, **known}


def _end_outdated(state: Registry, name: str, image: str, cluster_id: str) -> None:
    """Take away a machine made from another image, or without ids of its own, unless others use it now."""
    store = state.stores.get(name)
    node = next(iter(state.of(store.network_id)), None) if store else None
    if store is None or node is None or (node.image == image and node.first_id):
        return
    registry.authorize(store.owner, f"object store {name}")
    if set(store.clusters) - {cluster_id} and cgroups.processes(node.unit):
        say(f"object store {name} goes on with its old image while other clusters use it")
        return
    nodes.power_off(node)
    nodes.discard(node)
    with registry.changing() as changed:
        del changed.nodes[node.key]


def kept(store: Store) -> tuple[dict[str, str], str]:
    """Credentials and public host key of a store, and its private host key; made once."""
    directory = store.directory
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    (directory / "data").mkdir(mode=0o755, exist_ok=True)
    credentials = directory / "credentials.json"
    if not credentials.exists():
        pair = {"access_key": f"muster:{secrets.token_hex(6)}", "secret_key": secrets.token_urlsafe(30)}
        write(credentials, json.dumps(pair), 0o600, durable=True)
    host_key = directory / HOST_KEY
    if not host_key.exists():
        fresh = directory / f".{HOST_KEY}.{secrets.token_hex(4)}"
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"store-{store.name}", "-f", str(fresh)])
        Path(f"{fresh}.pub").unlink()
        fresh.rename(host_key)
    public = run(["ssh-keygen", "-y", "-f", str(host_key)]).stdout.strip()
    return {**json.loads(credentials.read_text()), "host_key": public}, host_key.read_text()


def authorize_keys(store: Store, node: Node) -> None:
    """Let exactly the attached clusters log in."""
    lines = [
        f"{' '.join(key.split()[:2])} cluster-{cluster}" for cluster, key in sorted(store.clusters.items())
    ]
    content, root = "".join(f"{line}\n" for line in lines), disks.mount_root(node)
    idmap.as_root_of(node.first_id, lambda: rootfs.put(root, AUTHORIZED, content))


def closed(request: dict[str, Any]) -> dict[str, Any]:
    """Detach a cluster; the machine stops with the last one, its data and its root stay."""
    asked, cluster_id = validate.store(request.get("store")), validate.hex_id(request.get("cluster_id"))
    name = _of_cluster(asked, cluster_id)
    with registry.store_lock(name):
        with registry.changing() as state:
            store = state.stores.get(name)
            if store is None:
                return {"stopped": True}
            registry.authorize(store.owner, f"object store {asked}")
            store.clusters.pop(cluster_id, None)
            node = next(iter(state.of(store.network_id)), None)
        if store.clusters:
            if node is not None and cgroups.processes(node.unit):
                authorize_keys(store, node)
                nodes.raise_networks(store.network_id)
            return {"stopped": False}
        if node is not None:
            nodes.power_off(node, deadline_s=4)
        with registry.changing():  # nobody brings up another, and relies on forwarding, meanwhile
            network.down(state.networks[store.network_id])
        return {"stopped": True}


def _of_cluster(name: str, cluster_id: str) -> str:
    """Return the key of the store of this name that a cluster uses; root also ends clusters of others."""
    own, stores = registry.store_key(name), registry.load().stores
    if registry.caller() == 0 and not (own in stores and cluster_id in stores[own].clusters):
        for key, store in stores.items():
            if cluster_id in store.clusters and key.partition(".")[0] == name:
                return key
    return own


def listing(_: dict[str, Any]) -> list[dict[str, Any]]:
    """All stores of this computer; a user's own under their names, others with their owner's number."""
    state = registry.load()
    found = []
    for store in state.stores.values():
        node = next(iter(state.of(store.network_id)), None)
        data, name = store.directory / "data", store.name.partition(".")[0]
        found.append(
            {
                "name": name if store.owner == registry.caller() else f"{name}.{store.owner}",
                "clusters": sorted(store.clusters),
                "created": store.created,
                "owner": store.owner,
                "state": machines.condition(node) if node else "stopped",
                "address": node.address if node else "",
                "bytes": images.tree_size(data) if data.is_dir() else 0,
            }
        )
    return found


def remove(request: dict[str, Any]) -> None:
    """Delete a store with its data.

    Raises:
        HelperError: a cluster uses it, or there is none of that name.
    """
    asked = validate.store(request.get("store"))
    name = registry.store_key(asked)
    with registry.store_lock(name):
        state = registry.load()
        store = state.stores.get(name)
        if store is None:
            raise HelperError(
                f"there is no object store {asked}; `./muster data stores` lists them", kind="refused"
            )
        registry.authorize(store.owner, f"object store {asked}")
        if store.clusters:
            using = ", ".join(sorted(store.clusters))
            raise HelperError(
                f"object store {asked} is used by cluster {using}; destroy it first", kind="in_use"
            )
        for node in state.of(store.network_id):
            supervisor.halt(node)
            nodes.discard(node)
        remove_tree(store.directory)
        with registry.changing() as changed:
            for node in changed.of(store.network_id):
                del changed.nodes[node.key]
            del changed.stores[name]
            nodes.sweep(changed)
