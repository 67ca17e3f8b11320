"""What of a builder machine must not get into an image: its identity, its secrets, its logs and caches."""

from __future__ import annotations

import shutil
from pathlib import Path

# Relative to the root; globs.
OF_ONE_MACHINE = (
    "etc/machine-id", "etc/hostname", "etc/hosts", "etc/resolv.conf", "etc/ssh/ssh_host_*",
    "etc/environment", "etc/systemd/network/10-host0.network", "etc/apt/apt.conf.d/80-muster-proxy",
    "etc/apt/apt.conf.d/90-muster-builder", "etc/dpkg/dpkg.cfg.d/90-muster-builder",
    "etc/sudoers.d/90-cloud-init-users", "etc/muster/authorized_keys", "etc/muster/ssh_host_ed25519_key",
    "etc/ssh/sshd_config.d/05-muster-store.conf", "etc/.pwd.lock", "var/lib/cloud",
    "var/lib/dbus/machine-id", "var/lib/systemd/random-seed", "var/lib/systemd/timers/*",
    "var/lib/systemd/timesync/*", "var/lib/private/systemd/*", "var/lib/sudo/*", "var/log/journal/*",
    "var/log/*.log", "var/log/apt/*", "var/log/wtmp", "var/log/btmp", "var/log/lastlog",
    "var/cache/apt/*.bin", "var/cache/apt/archives/*.deb", "var/cache/apt/archives/partial/*",
    "var/lib/apt/lists/*", "var/tmp/*", "tmp/*", "tmp/.*", "run/*", "root/.ssh", "root/.ansible",
    "root/.bash_history", "root/.cache", "home/*/.ssh", "home/*/.ansible", "home/*/.cache",
    "home/*/.bash_history",
)  # fmt: skip


def clean(root: Path) -> None:
    """Delete it from the changes of a stopped, unmounted machine."""
    for pattern in OF_ONE_MACHINE:
        for path in root.glob(pattern):
            if any(parent.is_symlink() for parent in path.parents if parent.is_relative_to(root)):
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
