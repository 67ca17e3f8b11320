"""Whether this computer can carry what is asked for, next to all that other clusters have been given."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import disks, idmap
from .errors import HelperError
from .registry import ROOT, Node, Registry
from .system import run

MEMORY_RESERVE_MB = 1024  # stays with the computer itself
OVERLAY_SINCE = [5, 19]
"""The Linux that has overlays over idmapped mounts."""
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


def require_growth(registry: Registry, wanted: Mapping[str, int], total_mb: int) -> None:
    """Compare the sum of all limits with the RAM, once nodes have what they are wished to have.

    Args:
        registry: what all clusters have been given.
        wanted: the wished MiB of memory, by provider id; unknown ones do not count.
        total_mb: RAM in MiB.

    Raises:
        HelperError: it does not fit.
    """
    nodes = registry.nodes.values()
    more = sum(wanted[node.provider_id] - node.memory_mb for node in nodes if node.provider_id in wanted)
    free = total_mb - MEMORY_RESERVE_MB - sum(node.memory_mb for node in holders(registry))
    if more > max(0, free):
        raise HelperError(
            f"{len(wanted)} nodes would need {more / 1024:.1f} GiB of memory more; this computer has "
            f"{max(0, free) / 1024:.1f} of {total_mb / 1024:.1f} GiB left; ask for less",
            kind="not_ready",
        )


def holders(registry: Registry) -> list[Node]:
    """The nodes whose memory is given away: those of stores that nobody uses give it back."""
    idle = {store.network_id for store in registry.stores.values() if not store.clusters}
    return [node for node in registry.nodes.values() if not node.deleting and node.cluster_id not in idle]


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
    there = holders(registry)
    given = sum(node.memory_mb for node in there)
    free = total_mb - MEMORY_RESERVE_MB - given - store_mb
    needed = sum(wish.count * wish.memory_mb for wish in wishes)
    count = sum(wish.count for wish in wishes)
    fits, left = 0, free
    for wish in wishes:
        more = max(0, min(wish.count, left // wish.memory_mb))
        fits, left = fits + more, left - more * wish.memory_mb
    fits = min(fits, MAX_NODES)
    if needed > free or count > MAX_NODES:
        others = f", of which {given / 1024:.1f} GiB are given to {len(there)} nodes" if given else ""
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


def require_user_namespaces() -> None:
    """Check that nodes can have user ids of their own, so that a node's root is nobody here.

    Raises:
        HelperError: this kernel, or the file system below `ROOT`, cannot.
    """
    try:
        release = [int(part) for part in re.findall(r"\d+", os.uname().release)[:2]]
        if release < OVERLAY_SINCE:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), f"Linux {os.uname().release}")
        idmap.require(ROOT / "nodes")
    except OSError as error:
        raise HelperError(
            f"this computer cannot give machines user ids of their own, without which their root is "
            f"this computer's own ({error.filename}: {error.strerror}); it takes Linux 5.19 or newer, "
            f"user namespaces (sysctl user.max_user_namespaces), and ext4, xfs or btrfs for {ROOT}",
            kind="not_ready",
        ) from None


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
