"""What Debian's own cloud image of version 13 contains, as a tree that a machine of this computer boots from.

Its packages are those that Debian's cloud team publishes as the dependencies of `debian-cloud-images-packages`, read
from the archive while the image is built, so that no list of ours decides what is there: a minimal system without
recommended packages, unattended-upgrades and apt's timers at work, cloud-init and sshd as they are delivered.
Loaded by hardware.py into the program that runs as root.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from helper import bootstrap  # type: ignore[import-not-found]
from helper.errors import HelperError  # type: ignore[import-not-found]
from helper.rootfs import apt_proxy  # type: ignore[import-not-found]
from helper.system import run, say  # type: ignore[import-not-found]

LIST = "debian-cloud-images-packages"
LEFT_OUT = (
    # A node has this computer's kernel, and is not started by a boot loader.
    "linux-image-amd64", "linux-image-cloud-amd64", "grub-cloud-amd64", "cloud-initramfs-growroot",
    # The list is of all clouds together; these are for one that is neither Amazon's nor IBM's.
    "azure-vm-utils", "hyperv-daemons", "waagent",
    # Large, and nothing on a machine may call it.
    "awscli",
)  # fmt: skip
INSTALL = f"""
set -eu
root=$1
found=$(chroot "$root" apt-cache show {LIST} | sed -n 's/^Depends: //p' | tr -d ',')
[ -n "$found" ]
wanted=
for name in $found; do
  case " {" ".join(LEFT_OUT)} " in *" $name "*) ;; *) wanted="$wanted $name" ;; esac
done
DEBIAN_FRONTEND=noninteractive chroot "$root" apt-get install --yes --no-install-recommends systemd-sysv $wanted
"""
FILES = {
    # As the cloud team's build leaves it (package configuration of its repository, class EC2).
    "etc/cloud/cloud.cfg.d/01_debian_cloud.cfg": (
        "apt_preserve_sources_list: true\n"
        "manage_etc_hosts: true\n"
        "system_info:\n"
        "  default_user:\n"
        "    name: admin\n"
        "    sudo: ALL=(ALL) NOPASSWD:ALL\n"
        "    shell: /bin/bash\n"
        "    lock_passwd: true\n"
        "    gecos: Debian\n"
        "    groups: [adm, audio, cdrom, dialout, dip, floppy, netdev, plugdev, sudo, video]\n"
    ),
    "etc/default/locale": "LANG=C.UTF-8\n",
    "etc/machine-id": "",
    # The cloud's part: there is no DHCP here, the address is written before the machine boots.
    "etc/cloud/cloud.cfg.d/99-disable-network-config.cfg": "network: {config: disabled}\n",
}


def recipe() -> str:
    """Changes whenever the image would come out different by what is written here."""
    return f"official-{hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:8]}"


def build(root: Path) -> None:
    """Fill an empty directory. Raises HelperError: it could not be built."""
    say("building what Debian's official cloud image contains (a minute or two)")
    command = [
        *bootstrap.TIED, "mmdebstrap", "--variant=minbase", '--aptopt=Acquire::Retries "3"',
        '--aptopt=APT::Install-Recommends "false"',
        *(f"--aptopt={line.strip()}" for line in apt_proxy().splitlines()), "--dpkgopt=force-unsafe-io",
        f"--customize-hook={INSTALL}", "--format=directory",
        bootstrap.SUITE, str(root),
    ]  # fmt: skip
    done = run(command, check=False)
    if done.returncode:
        raise HelperError(f"the official image could not be built: {bootstrap.failure(done.stderr)}")
    bootstrap.finish(root, FILES)
