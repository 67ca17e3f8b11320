"""One control group per node, on cgroup v1 and v2: limits, the truth about what runs, and the sure kill."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from .errors import HelperError
from .system import until

UNIFIED = Path("/sys/fs/cgroup")
V1_LIMITS = ("memory", "cpu", "cpuacct", "cpu,cpuacct", "pids", "freezer", "devices")
# What every machine has in /dev: null, zero, full, random, urandom, tty, ptmx, pts/*, net/tun.
DEVICES = ("c 1:3", "c 1:5", "c 1:7", "c 1:8", "c 1:9", "c 5:0", "c 5:2", "c 136:*", "c 10:200")
PROCESSES_PER_MB, FEWEST_PROCESSES = 2, 1024


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


def processes_of(memory_mb: int) -> int:
    """How many processes and threads a node of so many MiB may have: what a fork bomb takes is its own."""
    return max(FEWEST_PROCESSES, PROCESSES_PER_MB * memory_mb)


def make(unit: str, memory_mb: int, cores: float) -> list[Path]:
    """Create the node's groups; no disk is open to it (v1; a unit has DevicePolicy).

    Args:
        unit: the node's.
        memory_mb: hard memory limit, MiB; there is no swap beyond it.
        cores: CPU quota.
    """
    made = groups(unit)
    if is_v2():
        for parent in (UNIFIED, UNIFIED / "muster"):
            parent.mkdir(exist_ok=True)
            (parent / "cgroup.subtree_control").write_text("+memory +cpu +pids")
    for group in made:
        group.mkdir(parents=True, exist_ok=True)
        if (group / "devices.deny").exists():
            _fence(group)
        _limit(group, memory_mb, cores)
    return made


def _fence(group: Path) -> None:
    """Close every device to a group of v1's controller but those that every machine has."""
    (group / "devices.deny").write_text("a")
    for device in DEVICES:
        with contextlib.suppress(PermissionError):  # this computer may not use it itself
            (group / "devices.allow").write_text(f"{device} rwm")


def _limit(group: Path, memory_mb: int, cores: float) -> None:
    memory, quota = str(memory_mb * 1024 * 1024), str(int(cores * 100_000))
    limits = {
        "memory.max": memory, "memory.swap.max": "0", "cpu.max": f"{quota} 100000",
        "memory.limit_in_bytes": memory, "memory.memsw.limit_in_bytes": memory,
        "cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": quota,
        "pids.max": str(processes_of(memory_mb)),
    }  # fmt: skip
    for name, value in limits.items():
        if (group / name).exists():
            (group / name).write_text(value)


def show_limits(unit: str, memory_mb: int, cores: float) -> None:
    """Write a node's limits into the group that it takes for its outermost one, too (v2).

    What runs in it looks there for how much there is: Java sizes its heap by it, PyTorch its threads.
    """
    for group in groups(unit):
        if (inner := group / "payload").is_dir():
            _limit(inner, memory_mb, cores)


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
