"""Whether this computer can carry what is asked for, next to all that other clusters have been given."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from . import disks
from .errors import HelperError
from .registry import ROOT, Registry
from .system import run

MEMORY_RESERVE_MB = 1024  # stays with the computer itself
MAX_NODES = 240  # addresses .10 to .249 of a /24
TOOLS = {
    "systemd-nspawn": "systemd-container",
    "mmdebstrap": "mmdebstrap",
    "nft": "nftables",
    "ip": "iproute2",
    "losetup": "mount",
    "mount": "mount",
}


@dataclass(frozen=True)
class Wish:
    """So many nodes of one size."""

    count: int
    memory_mb: int


def total_memory_mb() -> int:
    """This computer's RAM in MiB."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) // 1024
    raise HelperError("/proc/meminfo does not say how much memory there is", kind="not_ready")


def require_memory(registry: Registry, wishes: Sequence[Wish], total_mb: int, store_mb: int = 0) -> None:
    """Compare the sum of all limits with the RAM.

    Args:
        registry: what all clusters have been given.
        wishes: what is asked for in addition.
        total_mb: RAM in MiB.
        store_mb: what the object store's machine will take of it, in MiB; 0 when it runs already.

    Raises:
        HelperError: it does not fit; says how many nodes would.
    """
    idle = {store.network_id for store in registry.stores.values() if not store.clusters}
    holders = [node for node in registry.nodes.values() if not node.deleting and node.cluster_id not in idle]
    given = sum(node.memory_mb for node in holders)
    free = total_mb - MEMORY_RESERVE_MB - given - store_mb
    needed = sum(wish.count * wish.memory_mb for wish in wishes)
    count = sum(wish.count for wish in wishes)
    fits, left = 0, free
    for wish in wishes:
        more = max(0, min(wish.count, left // wish.memory_mb))
        fits, left = fits + more, left - more * wish.memory_mb
    fits = min(fits, MAX_NODES)
    if needed > free or count > MAX_NODES:
        others = f", of which {given / 1024:.1f} GiB are given to {len(holders)} nodes" if given else ""
        others += f", and its object store takes {store_mb / 1024:.1f} GiB" if store_mb else ""
        raise HelperError(
            f"{count} more nodes need {needed / 1024:.1f} GiB of memory; "
            f"this computer has {total_mb / 1024:.1f} GiB{others}: "
            f"{fits} more fit; ask for fewer nodes or lower memory_gb",
            kind="not_ready",
        )


def require_disk(count: int, what: str) -> None:
    """Check that so many nodes have room to begin with; data disks grow as they are filled."""
    disks.require_space(count * disks.NODE_GROWTH, what)


def require_tools() -> None:
    """Check that the programs this provider is made of are there.

    Raises:
        HelperError: some are missing; says how to install them.
    """
    path = "/usr/sbin:/usr/bin:/sbin:/bin"
    packages = sorted({package for tool, package in TOOLS.items() if not shutil.which(tool, path=path)})
    if packages:
        raise HelperError(
            f"programs are missing on this computer; run: apt-get install -y {' '.join(packages)}",
            kind="not_ready",
        )


def require_mount() -> None:
    """Check that mounting is permitted, in a mount namespace that ends with the check."""
    done = run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "muster-probe", str(ROOT / "nodes")], check=False
    )
    if done.returncode:
        reason = (done.stderr.strip() or "no reason given").splitlines()[-1]
        raise HelperError(
            f"this computer does not permit mounting ({reason}); a container must be a privileged one",
            kind="not_ready",
        )
