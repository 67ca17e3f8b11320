"""What a cluster may leave on this computer, as sets that can be subtracted; and what killed test runs left."""

from __future__ import annotations

import fcntl
import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from provision.core.model import ClusterIdentity
from provision.providers.local import client, stores
from tests.names import MARK
from tests.system.lab import Lab, registry

ROOT = Path("/var/lib/muster")
KEPT = ("images", "artifacts", "stores", "locks", "probe", "registry.json")
"""Caches, data that outlives clusters, and what there is one of for the whole computer."""


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Hold a shared lock while tests run; whoever finds it free first takes away what killed runs left."""
    with lock.open("a") as file:
        with suppress(BlockingIOError):  # another run is at work: what is there may be its own
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _sweep()
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


def _sweep() -> None:
    """Delete all clusters and stores of tests that are on this computer."""
    found = registry()
    for network in found["networks"].values():
        if network["name"].startswith(MARK):
            names = [one["name"] for one in found["nodes"].values() if one["cluster_id"] == network["id"]]
            client.call("delete", {"cluster_id": network["id"], "names": names})
    for name, store in found["stores"].items():
        if name.startswith(MARK):
            for cluster in store["clusters"]:
                stores.store_close(name, ClusterIdentity(name, cluster))
            stores.store_remove(name)


def snapshot(marks: Sequence[str] = ()) -> set[str]:
    """Everything of Muster's: processes, mounts, interfaces, rules, loop devices, control groups, files.

    Processes outside of nodes are told by `marks` (names, folders) in their command line or environment.
    """
    return {*_processes(marks), *_mounts(), *_interfaces(), *_rules(), *_loops(), *_groups(), *_files()}


def _processes(marks: Sequence[str]) -> Iterator[str]:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            group = (folder / "cgroup").read_text()
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            environment = (folder / "environ").read_bytes().decode(errors="replace")
            start = (folder / "stat").read_text().rpartition(")")[2].split()[19]
        except OSError:
            continue
        if "/muster" in group or any(mark in command or mark in environment for mark in marks):
            yield f"process {folder.name}@{start} {command[:120].strip()} [{_unit(group)}]"


def _unit(group: str) -> str:
    return next(
        (line.rpartition("muster")[2].strip("/-") for line in group.splitlines() if "muster" in line), ""
    )


def _mounts() -> Iterator[str]:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = line.split()[4]
        if "muster" in point:
            yield f"mount {point}"


def _interfaces() -> Iterator[str]:
    for path in Path("/sys/class/net").iterdir():
        if path.name.startswith(("mu", "vb-m")):
            yield f"interface {path.name}"


def _rules() -> Iterator[str]:
    listing = subprocess.run(
        ["nft", "-j", "list", "ruleset"], capture_output=True, text=True, check=True
    ).stdout
    for entry in json.loads(listing or "{}").get("nftables", []):
        ((kind, value),) = entry.items()
        if kind == "table" and str(value["name"]).startswith("muster"):
            yield f"nft table {value['family']} {value['name']}"
        if kind == "rule" and str(value.get("comment", "")).startswith("muster"):
            yield f"nft rule {value['family']} {value['table']} {value['comment']}"


def _loops() -> Iterator[str]:
    listing = subprocess.run(
        ["losetup", "--json", "--list"], capture_output=True, text=True, check=True
    ).stdout
    for entry in json.loads(listing or '{"loopdevices": []}')["loopdevices"]:
        if "muster" in entry["back-file"]:
            yield f"loop device {entry['name']} {entry['back-file']}"


def _groups() -> Iterator[str]:
    for path in (*Path("/sys/fs/cgroup").glob("*/muster/*/"), *Path("/sys/fs/cgroup").glob("muster/*/")):
        yield f"control group {path}"
    for kind in ("propagate", "unix-export"):
        for path in Path("/run/systemd/nspawn", kind).glob("m*"):
            yield f"folder {path}"


def _files() -> Iterator[str]:
    for path in ROOT.glob("*"):
        if path.name in KEPT:
            continue
        yield from (f"file {below}" for below in path.glob("*"))


def of_others(own: Sequence[str]) -> set[str]:
    """Words that mark what belongs to clusters and stores whose names are not in `own`: ids, units, names."""
    found = registry()
    mine = {store["network_id"] for name, store in found["stores"].items() if name in own}
    mine |= {network["id"] for network in found["networks"].values() if network["name"] in own}
    words = {network["id"] for network in found["networks"].values()} - mine
    for node in found["nodes"].values():
        if node["cluster_id"] not in mine and not any(node["name"].startswith(f"{name}-") for name in own):
            words |= {node["cluster_id"], node["unit"]}
    return words


@contextmanager
def nothing_left(labs: Sequence[Lab], *, seconds: float = 10) -> Iterator[None]:
    """Assert that what is there after the block was there before, but for what others made meanwhile.

    Waits `seconds` for processes that are on their way out.
    """
    own = [name for lab in labs for name in (lab.name, lab.store)]
    marks = [mark for lab in labs for mark in (f"{lab.name}-", str(lab.folder))]
    before, others = snapshot(marks), of_others(own)
    yield
    end = time.monotonic() + seconds
    while True:
        others |= of_others(own)
        left = [item for item in snapshot(marks) - before if not any(word in item for word in others)]
        left = [
            item
            for item in left
            if not any(item.startswith("file") and part in item for part in _store_parts(labs))
        ]
        left += [
            f"state {path}"
            for lab in labs
            for path in lab.state.glob("*")
            if not path.name.startswith("image-")
        ]
        if not left or time.monotonic() > end:
            break
        time.sleep(0.5)
    assert not left, "left over:\n" + "\n".join(sorted(left))


def _store_parts(labs: Sequence[Lab]) -> set[str]:
    """Ids in the names of files that belong to object stores, which outlive clusters."""
    stores = registry()["stores"]
    return {stores[lab.store]["network_id"] for lab in labs if lab.store in stores}
