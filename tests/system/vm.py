"""A virtual machine by QEMU: a kernel of its own, and a first boot as EC2 gives its machines one.

Debian from its packages, with the base image of this computer for a local node in it. It never writes to its disk's
file; its process ends with the test's, however that ends, and nothing else of this computer is touched.
"""

from __future__ import annotations

import json
import platform
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from provision.cluster import firstboot
from provision.core.names import LOGIN_USER
from provision.providers.local.helper import bootstrap, rootfs
from provision.providers.local.helper.registry import ROOT
from provision.ssh import keys
from tests.emulators.ec2 import metadata
from tests.system.computer import cached
from tests.system.lab import Run

QEMU = "qemu-system-x86_64"
PACKAGES = (
    "linux-image-cloud-amd64", "systemd-sysv", "systemd-resolved", "dbus", "udev", "e2fsprogs", "openssh-server",
    "sudo", "nftables", "iproute2", "cloud-init", "dhcpcd-base", "python3", "procps", "systemd-container", "mmdebstrap",
)  # fmt: skip
KERNEL = ("vmlinuz", "initrd.img")
DISK_GB = 8
MODEL = "Amazon Elastic Block Store"
RULES = "60-persistent-storage.rules"
UNITS = {"enable": ("systemd-networkd",), "mask": ("apt-daily.timer", "apt-daily-upgrade.timer")}
FIRST_LINE_S = {"kvm": 20, "tcg": 120}
"""How long the kernel's first line may take: a /dev/kvm may be there and yet run no kernel."""
BOOT_S, BOOTED = 900, "Completed socket interaction for boot stage final"
VOLUME, MAC, ADDRESS = "vol-0123456789abcdef0", "02:00:00:00:00:01", "172.31.0.15"
# As wide as QEMU wants it: the metadata service is to be in it.
NETWORK = (
    "user,id=net,ipv6=off,net=160.0.0.0/4,host=172.31.0.1,dhcpstart={address},"
    "hostfwd=tcp:127.0.0.1:{port}-:22,guestfwd=tcp:169.254.169.254:80-cmd:{service}"
)


def missing() -> str:
    """Return why this computer can have no such machine, and the remedy; '' when it can."""
    if platform.machine() != "x86_64":
        return f"the virtual machine is an x86-64 one, this computer is {platform.machine()}"
    return "" if shutil.which(QEMU) else "no qemu: apt-get install qemu-system-x86"


class NoKernel(Exception):
    """QEMU runs no kernel on this computer, neither by KVM nor by emulation."""


class VirtualMachine:
    """One machine, switched on by `boot`; `close` ends it. `base`: this computer's image for nodes within."""

    def __init__(self, folder: Path, base: str) -> None:
        self.folder = folder
        self.base = base
        self.bootstrap = keys.new_bootstrap_key()
        self.login = keys.ensure_login_key(folder / "login", "test")
        self.user_data = firstboot.user_data(login_key=self.login, bootstrap=self.bootstrap)
        self.accelerator = ""
        self.port = _free_port()
        self._console = folder / "console.log"
        self._process: subprocess.Popen[bytes] | None = None

    def boot(self) -> None:
        """Switch it on, by KVM where that runs its kernel, and wait until cloud-init has ended.

        Raises:
            NoKernel: see there.
        """
        (self.folder / "metadata.json").write_text(json.dumps(self._metadata()))
        with (self.folder / "data.img").open("wb") as disk:
            disk.truncate(1024**3)
        (self.folder / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {self.bootstrap.public}\n")
        with _disk(self.base) as image:
            for name in KERNEL:
                dump = ["debugfs", "-R", f"dump /{name} {self.folder / name}", image]
                subprocess.run(dump, check=True, capture_output=True)
            self.accelerator = next((one for one in FIRST_LINE_S if self._starts(one, image)), "")
        if not self.accelerator:
            raise NoKernel
        assert self._says(BOOTED, BOOT_S), f"no first boot within {BOOT_S} s, see {self._console}"

    def run(self, script: str, *, given: bytes = b"", timeout: float = 120) -> Run:
        """Run a shell script as root, logged in as Muster logs in, by the host key that the user-data gave."""
        words = [
            "ssh", "-F", "none", "-p", str(self.port), "-i", str(self.folder / "login"),
            *_options(
                "BatchMode=yes", "ConnectTimeout=60", "StrictHostKeyChecking=yes", "GlobalKnownHostsFile=none",
                f"UserKnownHostsFile={self.folder / 'known_hosts'}", f"HostKeyAlgorithms={self.bootstrap.public.split()[0]}",
            ),
            f"{LOGIN_USER}@127.0.0.1", f"sudo -n sh -c {shlex.quote(script)}",
        ]  # fmt: skip
        begin = time.monotonic()
        try:
            done = subprocess.run(words, input=given, capture_output=True, timeout=timeout, check=False)
            answer, errors, status = done.stdout.decode(), done.stderr.decode(), done.returncode
        except subprocess.TimeoutExpired:
            answer, errors, status = "", f"no end after {timeout:.0f} s", 124
        seconds = time.monotonic() - begin
        with (self.folder / "log").open("a") as log:
            log.write(f"\n$ {script}\n{answer}{errors}=> {status} after {seconds:.1f} s\n")
        return Run(script, status, answer + errors, seconds, answer)

    def host_keys(self) -> set[str]:
        """Return the host keys that it shows, as `TYPE BASE64`."""
        found = set()
        for kind in (
            "rsa",
            "ecdsa",
            "ed25519",
        ):  # not at once: emulation is slow, and sshd has little patience
            scan = ["ssh-keyscan", "-T", "30", "-p", str(self.port), "-t", kind, "127.0.0.1"]
            shown = subprocess.run(scan, capture_output=True, text=True, check=False).stdout.splitlines()
            found |= {line.partition(" ")[2] for line in shown if not line.startswith("#")}
        return found

    def close(self) -> None:
        """End it, and remove its disks."""
        self._off()
        for name in ("data.img", *KERNEL):
            (self.folder / name).unlink(missing_ok=True)

    def _starts(self, accelerator: str, image: Path) -> bool:
        """Switch it on; return whether its kernel has said something, else it is off again."""
        service = [sys.executable, "-IS", metadata.__file__, str(self.folder / "metadata.json")]
        network = NETWORK.format(address=ADDRESS, port=self.port, service=shlex.join(service))
        words = [
            "setpriv", "--pdeathsig", "KILL", QEMU, "-accel", accelerator, "-cpu", "max", "-smp", "2", "-m", "2048",
            "-nodefaults", "-no-reboot", "-display", "none", "-serial", f"file:{self._console}",
            "-kernel", self.folder / "vmlinuz", "-initrd", self.folder / "initrd.img",
            "-append", "root=/dev/vda rw console=ttyS0 earlyprintk=ttyS0 panic=-1 mitigations=off",
            "-drive", f"file={image},format=raw,if=virtio,snapshot=on",
            "-drive", f"file={self.folder / 'data.img'},format=raw,if=none,id=data",
            "-device", f"nvme,drive=data,serial={VOLUME.replace('-', '')}",
            "-netdev", network, "-device", f"virtio-net-pci,netdev=net,mac={MAC}", "-device", "virtio-rng-pci",
            "-smbios", "type=1,manufacturer=Amazon EC2,product=m7i.large,uuid=ec2e1916-9099-7caf-fd21-012345abcdef",
        ]  # fmt: skip
        self._console.write_bytes(b"")
        with (self.folder / "qemu.log").open("ab") as log:
            self._process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        if not self._says("Linux version", FIRST_LINE_S[accelerator]):
            self._off()
        return self._process is not None

    def _off(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _says(self, words: str, seconds: float) -> bool:
        """Wait until its console has said something; False when it has not, or is off."""
        end = time.monotonic() + seconds
        while self._process and self._process.poll() is None and time.monotonic() < end:
            if words.encode() in self._console.read_bytes():
                return True
            time.sleep(0.25)
        return False

    def _metadata(self) -> dict[str, str]:
        instance, zone, name = "i-0123456789abcdef0", "eu-central-1a", "ip-172-31-0-15.ec2.internal"
        place = {"region": zone[:-1], "availabilityZone": zone}
        identity = {**place, "instanceId": instance, "instanceType": "m7i.large", "version": "2017-09-30"}
        known = {
            "instance-id": instance, "instance-type": "m7i.large", "local-ipv4": ADDRESS, "mac": MAC,
            "local-hostname": name, "hostname": name,
            "placement/availability-zone": zone, "placement/region": zone[:-1],
            "public-keys/": "0=muster", "public-keys/0/openssh-key": self.login,
            **{f"network/interfaces/macs/{MAC}/{key}": value for key, value in (
                ("device-number", "0"), ("mac", MAC), ("local-ipv4s", ADDRESS), ("interface-id", "eni-0"),
                ("subnet-ipv4-cidr-block", "172.31.0.0/16"), ("local-hostname", name),
            )},
        }  # fmt: skip
        return {
            **{f"meta-data/{path}": value for path, value in known.items()},
            "dynamic/instance-identity/document": json.dumps(identity),
            "user-data": self.user_data,
        }


def _disk(base: str) -> AbstractContextManager[Path]:
    recipe = (PACKAGES, UNITS, MODEL, DISK_GB, base)
    return cached("vm", recipe, lambda image: _install(base, image))


def _install(base: str, image: Path) -> None:
    """Put Debian and the base image into a disk, without a mount."""
    tree = image.parent / ".vm"
    shutil.rmtree(tree, ignore_errors=True)  # what a killed test left
    try:
        proxies = [f"--aptopt={line.strip()}" for line in rootfs.apt_proxy().splitlines()]
        made = ["mmdebstrap", "--quiet", "--variant=apt", f"--include={','.join(PACKAGES)}", *proxies]
        retries = ['--aptopt=Acquire::Retries "3"', "--dpkgopt=force-unsafe-io"]
        line = [*bootstrap.TIED, *made, *retries, "--format=directory", bootstrap.SUITE, str(tree)]
        subprocess.run(line, check=True)
        # Debian's own rules name the disk, as if it said of itself what Amazon's disks do.
        rules = (tree / "usr/lib/udev/rules.d" / RULES).read_text()
        rootfs.put(tree, f"etc/udev/rules.d/{RULES}", rules.replace("$attr{model}", MODEL))
        for verb, units in UNITS.items():
            subprocess.run(["systemctl", f"--root={tree}", verb, "-q", *units], check=True)
        for name in KERNEL:  # links, which debugfs does not follow
            found = (tree / name).resolve()
            (tree / name).unlink()
            (tree / name).hardlink_to(found)
        for name in ("etc/machine-id", "etc/hostname", "etc/resolv.conf"):
            (tree / name).unlink(missing_ok=True)
        rootfs.put(tree, "etc/machine-id", "uninitialized\n")
        images = tree / str(ROOT)[1:] / "images"
        images.mkdir(mode=0o700, parents=True)
        subprocess.run(["cp", "-a", ROOT / "images" / base, images], check=True)
        make = ["mkfs.ext4", "-q", "-F", "-m", "0", "-d", tree, image, f"{DISK_GB}G"]
        subprocess.run(make, check=True)
    finally:
        shutil.rmtree(tree, ignore_errors=True)


def _options(*settings: str) -> Sequence[str]:
    return [word for setting in settings for word in ("-o", setting)]


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
