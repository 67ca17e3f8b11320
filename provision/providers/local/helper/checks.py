"""The preflight: everything that can be known to go wrong before anything is changed."""

from __future__ import annotations

import contextlib
import os
from ipaddress import IPv4Network
from typing import Any

from . import capacity, network, registry, shapes, validate
from .errors import HelperError
from .registry import ROOT


def ready(request: dict[str, Any]) -> None:
    """Check programs, permission to mount, memory over all clusters, disk and subnet.

    Raises:
        HelperError: the first thing that is missing, kind `not_ready`.
    """
    capacity.require_tools()
    prepare_root()
    capacity.require_mount()
    capacity.require_user_namespaces()
    state = registry.load()
    groups = [validate.mapping(group, "group") for group in request.get("groups", [])]
    wishes = [
        capacity.Wish(
            int(validate.number(group.get("count"), "count", 0, 100_000)), shapes.sizes(group)["memory_mb"]
        )
        for group in groups
    ]
    grown = [validate.mapping(one, "grown") for one in request.get("grown", [])]
    sizes = {str(id): shapes.memory_of(one) for one in grown for id in one.get("machines", [])}
    capacity.require_growth(state, sizes, capacity.total_memory_mb())
    count = sum(wish.count for wish in wishes)
    if not count:
        return
    capacity.require_memory(state, wishes, capacity.total_memory_mb(), _store_mb(request, state))
    capacity.require_disk(count, f"{count} more nodes")
    wish = validate.subnet(request.get("subnet"))
    known = [net for net in state.networks.values() if net.name == request.get("cluster")]
    if any(wish in ("", net.subnet) and net.owner == registry.caller() for net in known):
        return  # it grows in the subnet that it has
    taken = [*network.host_networks(), *(IPv4Network(net.subnet) for net in state.networks.values())]
    network.choose(taken, wish)


def _store_mb(request: dict[str, Any], state: registry.Registry) -> int:
    """The memory of the wished object store's machine, unless it is among what has been given already."""
    wish = validate.mapping(request.get("store"), "store")
    if not wish:
        return 0
    store = state.stores.get(registry.store_key(validate.name(wish.get("name"), "store")))
    if store and store.clusters and state.of(store.network_id):
        return 0
    return int(validate.number(wish.get("memory_gb"), "memory_gb", 0.25, 4096) * 1024)


def prepare_root() -> None:
    """Make the directories that everything else lies in."""
    if os.geteuid() != 0:
        raise HelperError("the helper must run as root", kind="not_ready")
    ROOT.mkdir(mode=0o755, parents=True, exist_ok=True)
    # Programs and secrets of nodes lie in them: nobody else walks in, not even to start one.
    for name in ("nodes", "images", "locks", "stores"):
        (ROOT / name).mkdir(mode=0o700, exist_ok=True)
        (ROOT / name).chmod(0o700)
    with contextlib.suppress(FileNotFoundError):
        (ROOT / "registry.json").chmod(0o600)
    registry.own_artifacts(registry.caller())
