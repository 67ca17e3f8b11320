"""Booting a node and keeping it: a transient systemd unit where there is systemd, else a small shell loop.

systemd-nspawn ends with 133 when the node asked for a reboot (start it again) and with 0 when it powered
itself off (stay down). Killing systemd-nspawn does not end the node, so the loop kills what it left behind.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path

from . import cgroups, disks, idmap, registry
from .errors import HelperError
from .registry import Node
from .system import ENVIRONMENT, is_mounted, run, until

NSPAWN = {"SYSTEMD_NSPAWN_TMPFS_TMP": "0"}  # /tmp on the disk: memory is what a node has little of
UNIT_DEVICES = ("char-pts rw", "/dev/net/tun rwm")  # besides those that DevicePolicy=closed leaves open
# $1: number of groups; then the groups (the one with the limits first); then the command.
# It begins when told to, in its groups by then; whoever starts it may be killed before.
LOOP = """
read -r go || exit 1
count=$1; shift; first=$1; groups=
while [ "$count" -gt 0 ]; do groups="$groups $1"; shift; count=$((count - 1)); done
status=133
while [ "$status" -eq 133 ]; do
  ( for group in $groups; do echo 0 > "$group/cgroup.procs"; done; exec "$@" < /dev/null )
  status=$?
done
if [ -e "$first/cgroup.kill" ]; then echo 1 > "$first/cgroup.kill"; fi
for pid in $(cat "$first/cgroup.procs"); do [ "$pid" = $$ ] || kill -9 "$pid"; done
"""


def command(node: Node) -> list[str]:
    """The systemd-nspawn call of a node whose disks are mounted."""
    line = [
        "systemd-nspawn", "--quiet", "--keep-unit", "--register=no", "--settings=no", "--boot",
        f"--directory={node.directory}/root", f"--machine={node.machine}", f"--hostname={node.name}",
        f"--network-bridge={registry.BRIDGE}{node.cluster_id}",
        "--resolv-conf=off", "--timezone=off", "--link-journal=no",
        "--console=read-only", "--drop-capability=CAP_MKNOD",
        f"--private-users={node.first_id}:{idmap.COUNT}", "--private-users-ownership=off",
        f"--bind-ro={registry.artifacts(node.owner)}:/var/cache/muster/artifacts",
    ]  # fmt: skip
    for source, target in ((disks.mount_data(node), "/data"), (disks.show_store(node), "/srv/node")):
        if source:
            line.append(f"--bind={source}:{target}")
    return line


def boot(node: Node) -> None:
    """Start a node that does not run and whose root is mounted, and see its init come up.

    Raises:
        HelperError: it ended at once; the message is its last word.
    """
    _forget(node)
    log = disks.console(node)
    with log.open("ab") as output:
        os.fchmod(output.fileno(), 0o600)
        if cgroups.has_systemd() and cgroups.is_v2():
            _boot_unit(node, log)
            started = None
        else:
            started = _boot_loop(node, output.fileno())

    def up_or_dead() -> bool:
        dead = started.poll() is not None if started else not cgroups.processes(node.unit)
        return dead or _runs_its_own(node)

    if not until(up_or_dead, 30) or not _runs_its_own(node):
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        raise HelperError(f"node {node.name} did not boot: {lines[-1] if lines else 'no reason given'}")
    cgroups.show_limits(node.unit, node.memory_mb, node.cores)


def _runs_its_own(node: Node) -> bool:
    """Whether the node's process 1 is its own program already, no longer systemd-nspawn preparing the way."""
    init = cgroups.init(node.unit)
    with contextlib.suppress(OSError):
        return init is not None and Path(f"/proc/{init}/exe").readlink().name != "systemd-nspawn"
    return False


def _boot_loop(node: Node, output: int) -> subprocess.Popen[bytes]:
    groups = cgroups.make(node.unit, node.memory_mb, node.cores)
    keeper = ""
    if cgroups.is_v2():  # there, a group with limits for its children may hold no process itself
        keeper = "keeper"
        (groups[0] / "keeper").mkdir(exist_ok=True)
    arguments = [str(len(groups)), *map(str, groups), *command(node)]
    loop = subprocess.Popen(
        ["/bin/sh", "-c", LOOP, f"muster-{node.key}", *arguments],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=output,
        start_new_session=True,
        cwd="/",
        env=ENVIRONMENT | NSPAWN,
    )
    for group in groups:
        (group / keeper / "cgroup.procs").write_text(str(loop.pid))
    assert loop.stdin  # noqa: S101  PIPE was asked for
    with contextlib.suppress(BrokenPipeError), loop.stdin:
        loop.stdin.write(b"go\n")
    return loop


def _boot_unit(node: Node, log: Path) -> None:
    unit = f"muster-{node.unit}.service"
    run(["systemctl", "reset-failed", unit], check=False)
    settings = {
        "Description": f"Muster node {node.key}", "Delegate": "yes", "MemoryMax": f"{node.memory_mb}M",
        "CPUQuota": f"{node.cores * 100:g}%", "RestartForceExitStatus": "133", "SuccessExitStatus": "133",
        "RestartSec": "0", "KillMode": "mixed", "TimeoutStopSec": "5",
        "MemorySwapMax": "0", "TasksMax": str(cgroups.processes_of(node.memory_mb)),
        "StandardOutput": f"append:{log}", "StandardError": "inherit",
        "DevicePolicy": "closed",
    }  # fmt: skip
    settled = [f"--setenv={name}={value}" for name, value in NSPAWN.items()]
    properties = [f"--property={name}={value}" for name, value in settings.items()]
    properties += [f"--property=DeviceAllow={device}" for device in UNIT_DEVICES]
    run(
        [
            "systemd-run",
            f"--unit={unit}",
            "--collect",
            "--quiet",
            *settled,
            *properties,
            *command(node),
        ]
    )


def halt(node: Node) -> None:
    """Kill a node with everything that keeps it up, and confirm that nothing of it is left running."""
    if cgroups.has_systemd() and cgroups.is_v2():
        run(["systemctl", "kill", "--signal=KILL", f"muster-{node.unit}.service"], check=False)
        run(["systemctl", "stop", f"muster-{node.unit}.service"], check=False)
    cgroups.kill(node.unit)
    cgroups.remove(node.unit)
    if (root := node.directory / "root").is_dir():
        identity = root.stat()
        Path(f"/run/systemd/nspawn/locks/inode-{identity.st_dev}:{identity.st_ino}").unlink(missing_ok=True)
    interface = Path(f"/sys/class/net/vb-{node.machine}")
    # It goes with the network namespace, which a closed connection may hold for seconds yet.
    if not until(lambda: not interface.exists(), 0.3):
        run(["ip", "link", "del", interface.name], check=False)
    if not until(lambda: not interface.exists(), 5):
        raise HelperError(f"interface {interface.name} of {node.name} cannot be removed; see `ip link`")
    _forget(node)


def _forget(node: Node) -> None:
    """Take away what a killed systemd-nspawn leaves, on which it would not start that machine again."""
    for kind in ("propagate", "unix-export"):
        leftover = Path("/run/systemd/nspawn", kind, node.machine)
        if is_mounted(leftover):
            run(["umount", "--lazy", str(leftover)])
        if leftover.is_dir():
            leftover.rmdir()
