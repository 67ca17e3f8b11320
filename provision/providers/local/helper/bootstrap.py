"""The base image: Debian 13 with systemd, cloud-init and SSH, made by mmdebstrap in half a minute."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

from muster_node.needed import NEEDED
from muster_node.packaging import BYTECODE, EXCLUDES, NO_FSYNC, NOT_COMPILED

from .errors import HelperError
from .rootfs import apt_proxy, extra_certificates, put
from .system import run, say

SUITE = "trixie"
PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "openssh-server", "iproute2", "cloud-init", "python3",
    "libpam-systemd", *NEEDED.values(),
)  # fmt: skip
MASKED = (
    "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer",
    "e2scrub_reap.service", "fstrim.timer", "console-getty.service", "container-getty@.service",
    "getty@.service", "getty-static.service", "tmp.mount", "dev-hugepages.mount",
    "systemd-networkd-wait-online.service", "systemd-firstboot.service", "ssh.socket",
    "systemd-resolved.service", "systemd-pstore.service", "modprobe@.service", "cloud-init-hotplugd.socket",
)  # fmt: skip
# Only what first boot uses: what is not loaded, parsed or looked for saves time on every node.
CLOUD = """\
datasource_list: [NoCloud]
datasource: {NoCloud: {fs_label: null}}
network: {config: disabled}
disable_root: true
manage_etc_hosts: false
preserve_hostname: false
users: []
cloud_init_modules: [bootcmd, write_files, set_hostname, users_groups, ssh]
cloud_config_modules: [runcmd]
cloud_final_modules: [scripts_user, final_message]
system_info: {distro: debian, ssh_svcname: ssh}
"""
CLOUD_LOG = """\
log_cfgs:
  - |
    [loggers]
    keys=root
    [handlers]
    keys=file
    [formatters]
    keys=line
    [logger_root]
    level=INFO
    handlers=file
    [handler_file]
    class=FileHandler
    level=INFO
    formatter=line
    args=('/var/log/cloud-init.log', 'a', 'UTF-8')
    [formatter_line]
    format=%(asctime)s %(filename)s %(levelname)s: %(message)s
"""
FILES = {
    "etc/dpkg/dpkg.cfg.d/10-muster-slim": EXCLUDES,
    BYTECODE.lstrip("/"): NOT_COMPILED,
    "etc/apt/apt.conf.d/10-muster-slim": 'Acquire::Languages "none";\nAPT::Install-Recommends "false";\n',
    "etc/cloud/cloud.cfg": CLOUD,
    "etc/cloud/cloud.cfg.d/05_logging.cfg": CLOUD_LOG,
    "etc/cloud/ds-identify.cfg": "policy: enabled\ndatasource: NoCloud\n",
    "etc/ssh/sshd_config.d/10-muster-fast.conf": "UseDNS no\n",
    "etc/machine-id": "",
    # Packages with alternatives (Java) fail to configure where this folder is missing.
    "usr/share/man/man1/.keep": "",
}
ATTEMPTS = 3
# However this process ends, the build and all that it mounted end with it.
TIED = (
    "setpriv",
    "--pdeathsig",
    "KILL",
    "unshare",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount",
    "--mount-proc",
)


def recipe() -> str:
    """Changes whenever the base would come out different by what is written here."""
    return hashlib.sha256(repr((SUITE, PACKAGES, MASKED, sorted(FILES.items()))).encode()).hexdigest()[:12]


def build(root: Path) -> None:
    """Fill an empty directory.

    Raises:
        HelperError: the packages could not be had after three attempts, or mmdebstrap failed otherwise.
    """
    say(f"building the base image (Debian {SUITE}, about half a minute)")
    command = [  # not --quiet: that hides apt's reason when it fails
        *TIED, "mmdebstrap", "--variant=apt", f"--include={','.join(PACKAGES)}",
        '--aptopt=Acquire::Languages "none"', '--aptopt=Acquire::Retries "3"',
        *(f"--aptopt={line.strip()}" for line in apt_proxy().splitlines()),
        *(f"--dpkgopt={line}" for line in (NO_FSYNC + EXCLUDES).splitlines()),
        "--format=directory", SUITE, str(root),
    ]  # fmt: skip
    for attempt in range(1, ATTEMPTS + 1):
        done = run(command, check=False)
        if not done.returncode:
            break
        reason = failure(done.stderr)
        if attempt == ATTEMPTS or not is_network(done.stderr):
            raise HelperError(f"the base image could not be built: {reason}")
        say(f"attempt {attempt} of {ATTEMPTS} failed ({reason}); trying again")
        run(["find", str(root), "-xdev", "-mindepth", "1", "-delete"])
        time.sleep(2 * attempt)
    finish(root, FILES)
    only_needed_units(root)


def failure(output: str) -> str:
    """The line of mmdebstrap's output that says what went wrong."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for mark in ("E: Failed to fetch", "Could not resolve", "Err:", "E: Unable", "dpkg: error", "E: "):
        for line in lines:
            if mark in line and "mmdebstrap failed" not in line:
                return line.removeprefix("E: ")[:300]
    return (lines or ["no reason given"])[-1][:300]


def is_network(output: str) -> bool:
    """Whether a failure is worth another attempt."""
    marks = (
        "Failed to fetch",
        "Could not resolve",
        "Could not connect",
        "Connection",
        "Temporary failure",
        "timed out",
    )
    return any(mark in output for mark in marks)


def finish(root: Path, files: dict[str, str]) -> None:
    """Make the tree an image: its own files, no identity, the network ready to be configured."""
    for name, content in files.items():
        put(root, name, content)
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    for name in ("etc/hostname", "etc/resolv.conf", "etc/apt/apt.conf.d/99mmdebstrap", "var/log/dpkg.log"):
        (root / name).unlink(missing_ok=True)
    wants = root / "etc/systemd/system/multi-user.target.wants"
    link(wants / "systemd-networkd.service", "/usr/lib/systemd/system/systemd-networkd.service")
    for name, certificate in extra_certificates().items():
        put(root, f"usr/local/share/ca-certificates/{name}", certificate)
    if extra_certificates():
        run(["chroot", str(root), "update-ca-certificates"])


def only_needed_units(root: Path) -> None:
    """Leave out the units that no node needs."""
    for unit in MASKED:
        link(root / "etc/systemd/system" / unit, "/dev/null")
    link(root / "etc/systemd/system/default.target", "/usr/lib/systemd/system/multi-user.target")


def link(path: Path, target: str) -> None:
    """Make or replace a symbolic link."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(target)
