"""A node's disks: the overlay that is its root, and a sparse file behind a loop device."""

from __future__ import annotations

import json
import os
import shutil
import threading
from pathlib import Path

from .errors import HelperError
from .registry import ROOT, Node
from .system import mount_points, run

RESERVE = 2 * 1024**3  # bytes that stay free on the disk
NODE_GROWTH = 512 * 1024**2  # bytes a node needs at least for its own changes
_loop_lock = threading.Lock()


def require_space(needed: int, what: str) -> None:
    """Check the free space before anything is written.

    Args:
        needed: bytes.
        what: for the message: "3 nodes", "the base image".

    Raises:
        HelperError: there is less.
    """
    free = shutil.disk_usage(ROOT).free
    if free < needed + RESERVE:
        raise HelperError(
            f"{what}: {needed / 1024**3:.1f} GiB are needed and {RESERVE / 1024**3:.0f} GiB must stay free "
            f"on the disk of {ROOT}, which has {free / 1024**3:.1f} GiB; "
            f"free some, or run `./muster images prune`",
            kind="not_ready",
        )


def lower_paths(node: Node) -> list[Path]:
    """The read-only layers below a node, uppermost first."""
    return [ROOT / "images" / image / "root" for image in node.lower]


def mount_root(node: Node) -> Path:
    """Mount the overlay when it is not mounted.

    Raises:
        HelperError: an image is missing, or mounting is not permitted.
    """
    root = node.directory / "root"
    if str(root) in mount_points():
        return root
    for path in lower_paths(node):
        if not path.is_dir():
            raise HelperError(
                f"image {path.parent.name} of {node.name} is gone; delete the node and create it again"
            )
    for name in ("root", "upper", "work"):
        (node.directory / name).mkdir(parents=True, exist_ok=True)
    lower = ":".join(map(str, lower_paths(node)))
    options = f"lowerdir={lower},upperdir={node.directory}/upper,workdir={node.directory}/work"
    done = run(["mount", "-t", "overlay", "-o", options, f"muster-{node.unit}", str(root)], check=False)
    if done.returncode:
        reason = (done.stderr.strip() or "no reason given").splitlines()[-1]
        raise HelperError(
            f"this computer does not permit mounting an overlay file system: {reason}", kind="not_ready"
        )
    return root


def unmount_root(node: Node) -> None:
    """Unmount every layer of the node's root; harmless when it is not mounted."""
    for point in reversed([p for p in mount_points() if Path(p).is_relative_to(node.directory)]):
        if run(["umount", point], check=False).returncode:
            run(["umount", "--lazy", point])


def attach(node: Node) -> str:
    """Attach the data disk, made when missing; returns the device, or '' for a node without one."""
    if not node.disk_gb:
        return ""
    file = node.directory / "data.img"
    if not file.exists():
        with file.open("wb") as handle:
            os.fchmod(handle.fileno(), 0o600)
            handle.truncate(node.disk_gb * 1024**3)
    with _loop_lock:
        devices = attached(file)
        if devices:
            return devices[0]
        done = run(["losetup", "--find", "--show", "--nooverlap", str(file)], check=False)
    if done.returncode:
        raise HelperError(
            f"no loop device for the data disk of {node.name}: {done.stderr.strip()}", kind="not_ready"
        )
    return done.stdout.strip()


def attached(file: Path) -> list[str]:
    """Loop devices behind which the file lies."""
    listing = run(["losetup", "--json", "--list", "--output", "NAME,BACK-FILE"]).stdout
    entries = json.loads(listing)["loopdevices"] if listing.strip() else []
    return [entry["name"] for entry in entries if entry["back-file"] in (str(file), f"{file} (deleted)")]


def detach(node: Node) -> None:
    """Detach the data disk."""
    for device in attached(node.directory / "data.img"):
        run(["losetup", "--detach", device])
