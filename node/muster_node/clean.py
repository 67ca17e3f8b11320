"""`muster-clean now`: take from a machine what must not get into an image that is made of it.

That is its identity, its secrets, its logs and caches. The machine is good for nothing but the image then.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Collection
from pathlib import Path

# Relative to the root; globs.
OF_ONE_MACHINE = (
    "etc/machine-id", "etc/hostname", "etc/hosts", "etc/resolv.conf", "etc/ssh/ssh_host_*",
    "etc/environment", "etc/pip.conf",
    "etc/systemd/network/10-host0.network", "etc/apt/apt.conf.d/80-muster-proxy",
    "etc/apt/apt.conf.d/90-muster-builder", "etc/dpkg/dpkg.cfg.d/90-muster-builder",
    "etc/sudoers.d/90-cloud-init-users", "etc/muster/*", "etc/systemd/system/*.wants/muster-*",
    "etc/systemd/system/muster-ttl.timer.d",
    "etc/ssh/sshd_config.d/[0-9][0-9]-muster*.conf", "etc/.pwd.lock", "var/lib/cloud",
    "var/lib/dbus/machine-id", "var/lib/systemd/random-seed", "var/lib/systemd/timers/*",
    "var/lib/systemd/timesync/*", "var/lib/private/systemd/*", "var/lib/sudo/*", "var/log/journal/*",
    "var/log/*.log", "var/log/apt/*", "var/log/wtmp", "var/log/btmp", "var/log/lastlog",
    "var/cache/apt/*.bin", "var/cache/apt/archives/*.deb", "var/cache/apt/archives/partial/*",
    "var/lib/apt/lists/*", "var/tmp/*", "tmp/*", "tmp/.*", "run/*", "root/.ssh", "root/.ansible",
    "root/.bash_history", "root/.cache", "home/*/.ssh", "home/*/.ansible", "home/*/.cache",
    "home/*/.bash_history",
)  # fmt: skip
IN_USE = frozenset(("etc/machine-id", "etc/hosts", "etc/resolv.conf", "tmp/*", "tmp/.*", "run/*"))
"""What a machine needs to the end, or has in memory alone. No secret is among it."""
CONFIGURED = ("etc/muster/store.json", "etc/spark/daemons.conf", "var/lib/muster/runs")
"""What main.yml leaves: secrets, also in places that no list knows, and data."""
OWNED = "etc/muster/cluster.json"
"""On hosts that are there for more than Muster."""


def clean(root: Path, keep: Collection[str] = ()) -> None:
    """Delete all of the list, but for the patterns `keep`, below the root of a machine or of its changes."""
    for pattern in OF_ONE_MACHINE:
        for path in root.glob(pattern) if pattern not in keep else ():
            if any(parent.is_symlink() for parent in path.parents if parent.is_relative_to(root)):
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


def refusal(root: Path) -> str:
    """Return why no image may be made of a machine, '' when one may."""
    if (root / OWNED).exists():
        return "this host is its owner's"
    there = next((name for name in CONFIGURED if (root / name).exists()), "")
    return f"main.yml has been here (/{there}): take a machine right after start_cluster.yml" if there else ""


def main(argv: Collection[str] | None = None, root: Path = Path("/")) -> int:
    """Clean this machine; returns the exit status."""
    if list(sys.argv[1:] if argv is None else argv) != ["now"]:
        print(__doc__, file=sys.stderr)
        return 2
    if reason := refusal(root):
        print(f"muster-clean: {reason}", file=sys.stderr)
        return 1
    try:
        clean(root, IN_USE)
        (root / "etc/machine-id").write_text("")  # a new one is made at the next boot
    except OSError as error:
        print(f"muster-clean: {error}; run it again", file=sys.stderr)
        return 1
    print("clean: make the image now, and destroy this machine afterwards; nobody can log in on it any more")
    return 0
