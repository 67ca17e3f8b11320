"""A node's disks, each a sparse file: one for the changes of its root, one for its data.

They are mounted here, by idmapped mounts, since no user namespace may mount a file system of its own; and so
a node can fill neither this computer's disk nor reach another node's. Only what a builder changes lies on
this computer's disk itself, to become an image without being copied; who bakes watches what room that leaves.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from pathlib import Path

from . import idmap
from .errors import HelperError
from .registry import ROOT, Node
from .system import is_mounted, mount_points, run

RESERVE = 2 * 1024**3  # bytes that stay free on the disk
NODE_GROWTH = 512 * 1024**2  # bytes a node needs at least for its own changes
ROOT_DISK_GB = 20
"""What a node may add to its image."""
CONSOLE_MB = 16
"""What a node may say on its console (some KiB at each boot); one that says more is ended by that."""
MKFS = ("mkfs.ext4", "-q", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard")
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
    if is_mounted(root):
        return root
    for path in lower_paths(node):
        if not path.is_dir():
            raise HelperError(
                f"image {path.parent.name} of {node.name} is gone; delete the node and create it again"
            )
    release(node)  # what a killed run left of the parts
    root.mkdir(parents=True, exist_ok=True)
    try:
        _mount_overlay(node, root)
    except OSError as error:
        raise HelperError(
            f"this computer does not permit mounting the root of {node.name}: {error.strerror}",
            kind="not_ready",
        ) from None
    return root


def mount_changes(node: Node) -> Path:
    """Mount the file system of a node's own changes, its owners as they are on the disk; see above."""
    changes = node.directory / "changes"
    if node.builder.exists():
        changes.mkdir(parents=True, exist_ok=True)
        return changes
    return _mount_file(node, "root.img", ROOT_DISK_GB, changes)


def _mount_overlay(node: Node, root: Path) -> None:
    """Put the node's changes over its image, all shown as belonging to its ids."""
    own = mount_changes(node)
    for name in ("upper", "work"):
        (own / name).mkdir(exist_ok=True)
    shown = []
    for number, source in enumerate((*lower_paths(node), own)):
        part = node.directory / "layers" / str(number)
        part.mkdir(parents=True, exist_ok=True)
        idmap.bind(source, part, node.first_id)
        shown.append(part)
    *lower, upper = shown
    options = f"lowerdir={':'.join(map(str, lower))},upperdir={upper}/upper,workdir={upper}/work"
    idmap.mount_overlay(f"muster-{node.unit}", root, options, node.first_id)
    for part in shown:  # the overlay holds them by itself
        run(["umount", "--lazy", str(part)])


def mount_data(node: Node) -> Path | None:
    """Mount the data disk, made when missing, as the node will see it; None for a node without one."""
    if not node.disk_gb:
        return None
    data = node.directory / "data"
    if not is_mounted(data):
        plain = _mount_file(node, "data.img", node.disk_gb, node.directory / "plain")
        data.mkdir(exist_ok=True)
        idmap.bind(plain, data, node.first_id, move=True)
    return data


def console(node: Node) -> Path:
    """The file for what a node says on its console; in memory: its root may not fill a disk with it."""
    folder = node.directory / "console"
    if not is_mounted(folder):
        folder.mkdir(exist_ok=True)
        options = f"size={CONSOLE_MB}m,mode=0700,nodev,nosuid,noexec"
        run(["mount", "-t", "tmpfs", "-o", options, "muster-console", str(folder)])
    return folder / "console.log"


def show_store(node: Node) -> Path | None:
    """Mount the data of the store that the node serves as the node will see it; None for others."""
    if not node.store:
        return None
    served = node.directory / "served"
    if not is_mounted(served):
        served.mkdir(exist_ok=True)
        idmap.bind(ROOT / "stores" / node.store / "data", served, node.first_id)
    return served


def _mount_file(node: Node, name: str, size_gb: int, point: Path) -> Path:
    """Mount a file of the node's with an ext4 file system in it, made when missing."""
    if is_mounted(point):
        return point
    point.mkdir(parents=True, exist_ok=True)
    device = attach(node, _file(node, name, size_gb))
    run(["mount", "-t", "ext4", "-o", "noatime,nodev,nosuid,discard", device, str(point)])
    return point


def _file(node: Node, name: str, size_gb: int) -> Path:
    """Return a file of the node's with an ext4 file system in it, made when missing."""
    file = node.directory / name
    if not file.exists():
        fresh = file.with_name(f".{name}.new")
        with fresh.open("wb") as handle:
            os.fchmod(handle.fileno(), 0o600)
            handle.truncate(size_gb * 1024**3)
        run([*MKFS, str(fresh)])
        fresh.rename(file)
    return file


def release(node: Node) -> None:
    """Unmount and detach everything of a node that does not run; harmless when nothing is there."""
    for point in reversed([p for p in mount_points() if Path(p).is_relative_to(node.directory)]):
        if run(["umount", point], check=False).returncode:
            run(["umount", "--lazy", point])
    for name in ("root.img", "data.img"):
        for device in attached(node.directory / name):
            run(["losetup", "--detach", device], check=False)  # one that was in use may go just now by itself


def attach(node: Node, file: Path) -> str:
    """Return the loop device of a file, attached when it is not."""
    with _loop_lock:  # it gives the one that the file has already, and knows files by more than their names
        done = run(["losetup", "--find", "--show", "--nooverlap", str(file)], check=False)
    if done.returncode:
        raise HelperError(
            f"no loop device for a disk of {node.name}: {done.stderr.strip()}", kind="not_ready"
        )
    return done.stdout.strip()


def attached(file: Path) -> list[str]:
    """Loop devices behind which the file lies."""
    listing = run(["losetup", "--json", "--list", "--output", "NAME,BACK-FILE"]).stdout
    entries = json.loads(listing)["loopdevices"] if listing.strip() else []
    return [entry["name"] for entry in entries if entry["back-file"] in (str(file), f"{file} (deleted)")]
