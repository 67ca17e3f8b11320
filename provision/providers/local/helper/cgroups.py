"""One control group per node, on cgroup v1 and v2: limits, the truth about what runs, and the sure kill."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from .errors import HelperError
from .registry import ROOT
from .system import locked, until

UNIFIED = Path("/sys/fs/cgroup")
V1_LIMITS = ("memory", "cpu", "cpuacct", "cpu,cpuacct", "pids", "freezer", "devices")
# What every machine has in /dev: null, zero, full, random, urandom, tty, ptmx, pts/*, net/tun.
DEVICES = ("c 1:3", "c 1:5", "c 1:7", "c 1:8", "c 1:9", "c 5:0", "c 5:2", "c 136:*", "c 10:200")
LOOPS = "b 7:*"  # all loop devices: what one node or another may use


def is_v2() -> bool:
    """Whether all controllers are in the unified hierarchy."""
    return (UNIFIED / "cgroup.controllers").exists()


def has_systemd() -> bool:
    """Whether systemd is this computer's process 1."""
    return Path("/run/systemd/system").is_dir()


def _hierarchies() -> list[Path]:
    """Mount points of the hierarchies a node gets a group in."""
    if is_v2():
        return [UNIFIED]
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        kind, _, options = rest.split(" ", 2)
        controllers = set(options.split(","))
        wanted = kind == "cgroup2" or "name=systemd" in controllers or controllers & set(V1_LIMITS)
        if kind in ("cgroup", "cgroup2") and wanted:
            found.append(Path(fields.split()[4]))
    if not any("memory" in path.name for path in found):
        raise HelperError(
            "this computer has no cgroup memory controller, so nodes cannot be limited", kind="not_ready"
        )
    return found


def groups(unit: str) -> list[Path]:
    """The node's group in every hierarchy, the one with the memory limit first."""
    if is_v2() and has_systemd():
        return [UNIFIED / "system.slice" / f"muster-{unit}.service"]
    below = [path / "muster" / unit for path in _hierarchies()]
    return sorted(below, key=lambda path: "memory" not in str(path))


def make(unit: str, memory_mb: int, cores: float, device: str = "") -> list[Path]:
    """Create the node's groups.

    Args:
        unit: the node's.
        memory_mb: hard memory limit, MiB.
        cores: CPU quota.
        device: the node's loop device, or ''; no other disk is open to it (v1; a unit has DevicePolicy).
    """
    made = groups(unit)
    if is_v2():
        for parent in (UNIFIED, UNIFIED / "muster"):
            parent.mkdir(exist_ok=True)
            (parent / "cgroup.subtree_control").write_text("+memory +cpu +pids")
    for group in made:
        if (group.parent.parent / "devices.deny").exists():
            with locked(ROOT / "locks" / "devices"):
                group.parent.mkdir(exist_ok=True)
                everything = (group.parent / "devices.list").read_text().startswith("a ")
                _fence(group.parent, [*DEVICES, LOOPS], close=everything)  # once: with children it refuses
                group.mkdir(exist_ok=True)
                _fence(group, [*DEVICES, *([_number(device)] if device else [])])
        group.mkdir(parents=True, exist_ok=True)
        _limit(group, memory_mb * 1024 * 1024, int(cores * 100_000))
    return made


def _fence(group: Path, devices: list[str], *, close: bool = True) -> None:
    """Close every device to a group of v1's controller (`close`) but the given ones.

    Root in a node can undo what is set on the node's own group, but not what is set on the one above it.
    """
    if close:
        (group / "devices.deny").write_text("a")
    for device in devices:
        with contextlib.suppress(PermissionError):  # this computer may not use it itself
            (group / "devices.allow").write_text(f"{device} rwm")


def _number(device: str) -> str:
    """A block device as the controller names it."""
    found = Path(device).stat().st_rdev
    return f"b {os.major(found)}:{os.minor(found)}"


def _limit(group: Path, memory: int, quota: int) -> None:
    for name, value in (
        ("memory.max", str(memory)),
        ("cpu.max", f"{quota} 100000"),
        ("memory.limit_in_bytes", str(memory)),
        ("cpu.cfs_period_us", "100000"),
        ("cpu.cfs_quota_us", str(quota)),
    ):
        if (group / name).exists():
            (group / name).write_text(value)


def processes(unit: str) -> set[int]:
    """Every process of the node, its supervisor included."""
    found: set[int] = set()
    for group in groups(unit):
        for file in _process_files(group):
            with contextlib.suppress(OSError):
                found.update(int(pid) for pid in file.read_text().split() if pid != "0")
    return found


def _process_files(group: Path) -> Iterator[Path]:
    if group.is_dir():
        yield group / "cgroup.procs"
        with contextlib.suppress(OSError):
            yield from group.rglob("*/cgroup.procs")


def init(unit: str) -> int | None:
    """The node's own process 1, as seen from here."""
    for pid in sorted(processes(unit)):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("NSpid:"):
                    if len(line.split()) > 2 and line.split()[-1] == "1":
                        return pid
                    break
    return None


def kill(unit: str, deadline_s: float = 20) -> None:
    """Kill every process of the node, its init included, and confirm.

    Raises:
        HelperError: some are still there after the deadline.
    """

    def strike() -> bool:
        left = processes(unit) - {os.getpid()}
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not left

    if not until(strike, deadline_s, 0.005):
        left = ", ".join(map(str, sorted(processes(unit))))
        raise HelperError(
            f"processes {left} do not die (control group {unit}); they wait for the disk or the kernel"
        )


def remove(unit: str) -> None:
    """Delete the node's empty groups."""

    def gone() -> bool:
        left = [group for group in groups(unit) if group.is_dir()]
        for group in left:
            for child in sorted(group.rglob("*/"), reverse=True):
                with contextlib.suppress(OSError):
                    child.rmdir()
            with contextlib.suppress(OSError):
                group.rmdir()
        return not left

    if not until(gone, 5):
        raise HelperError(f"control group {unit} cannot be removed")
