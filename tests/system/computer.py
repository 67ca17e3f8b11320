"""A fresh computer: Debian as it is installed, with systemd as process 1, unified control groups, a network of its own.

It is a systemd-nspawn machine with all rights, on an ext4 file system of its own, in which Muster runs as on the
computer of a user: `ada`, who may use sudo. Its kernel is this computer's, and so are its loop devices; of the unified
hierarchy it has no controllers where this computer has them in the legacy one.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO

from provision.core.files import private_folder
from provision.core.paths import PROJECT
from provision.providers.local import client
from provision.providers.local.helper import bootstrap, network, rootfs
from provision.providers.local.helper.registry import ROOT, Network
from tests.system.lab import COLOUR, Run, eventually

CACHE = Path("/var/tmp/muster-computers")
USER = "ada"
PACKAGES = ("systemd", "systemd-sysv", "dbus", "sudo", "git", "python3", "ca-certificates", "iproute2")
DISK_GB = 40
LOOPS = 96
SETTINGS = {
    "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
    "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "1",
    "SYSTEMD_SECCOMP": "0",
}
FILES = {
    "etc/hostname": "fresh\n",
    "etc/hosts": "127.0.0.1 localhost fresh\n",
    "etc/default/locale": "LANG=C.UTF-8\n",
    "etc/sysctl.d/50-fresh.conf": "net.ipv4.ip_forward = 0\n",
    f"etc/sudoers.d/{USER}": f"{USER} ALL=(ALL) NOPASSWD: ALL\n",
    # What udev and a first mount do on a computer of its own.
    "etc/tmpfiles.d/loop.conf": "c! /dev/loop-control 0660 root disk - 10:237\n"
    + "".join(f"b! /dev/loop{number} 0660 root disk - 7:{number}\n" for number in range(LOOPS)),
    "etc/systemd/system/shared.service": "[Unit]\nDefaultDependencies=no\nBefore=sysinit.target\n"
    "[Service]\nType=oneshot\nExecStart=/bin/mount --make-rshared /\n[Install]\nWantedBy=sysinit.target\n",
}
TRACES = r"""
ls -d /sys/class/net/mu* /sys/class/net/vb-* /run/systemd/nspawn/*/m* /var/lib/muster/nodes/* 2>/dev/null
grep -o '/[^ ]*muster/nodes[^ ]*\|/run/systemd/nspawn/[^ ]*/m[^ ]*' /proc/self/mountinfo
nft list ruleset | grep muster_
command -v iptables >/dev/null && iptables -S | grep muster_
systemctl list-units --all --plain --no-legend 'muster-*'
grep 1 /proc/sys/net/ipv4/ip_forward
true
"""


class Computer:
    """One computer, switched on by `boot`; `close` takes it away with all that it had of this one."""

    def __init__(self, suite: str, folder: Path) -> None:
        self.suite = suite
        self.name = f"mc{secrets.token_hex(4)}"
        self.folder = folder
        self.root = folder / "root"
        self.image = folder / "disk.img"
        self.net = Network(self.name[2:], "computer", network.choose(network.host_networks()), 0)
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        sweep()
        self._note = _note(self.name)
        self._write_down()

    def make(self, images: Sequence[str] = ()) -> None:
        """Put its disk together; `images` are those of this computer's images that it has been given."""
        with pristine(self.suite) as image:
            subprocess.run(["cp", "--sparse=always", "--reflink=auto", image, self.image], check=True)
        self._mount()
        if images:
            target = self.root / str(ROOT)[1:] / "images"
            target.mkdir(mode=0o700, parents=True)
            subprocess.run(["cp", "-a", *(ROOT / "images" / one for one in images), target], check=True)
        rootfs.put(self.root, "etc/systemd/network/10-host0.network", (
            "[Match]\nName=host0\n[Network]\nLinkLocalAddressing=no\n"
            f"Address={self.net.prefix}10/24\nGateway={self.net.gateway}\n"
        ))  # fmt: skip
        (self.root / "etc/resolv.conf").unlink(missing_ok=True)
        rootfs.put(self.root, "etc/resolv.conf", rootfs.resolvers())
        rootfs.inherit_settings(self.root, self.net, client.inherited())

    def bring(self, folder: str) -> None:
        """Let the user have the project's files, as a clone brings them, in `folder` of the home directory."""
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listed, cwd=PROJECT, capture_output=True, check=True).stdout
        kept = b"\0".join(
            name for name in names.split(b"\0") if name and (PROJECT / os.fsdecode(name)).exists()
        )
        target = self.root / "home" / USER / folder
        target.mkdir()
        packed = ["tar", "-C", str(PROJECT), "--null", "-T", "-", "-c"]
        with subprocess.Popen(packed, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as tar:
            assert tar.stdin
            tar.stdin.write(kept)
            tar.stdin.close()
            subprocess.run(["tar", "-C", target, "-x"], stdin=tar.stdout, check=True)
        subprocess.run(["chown", "-R", "1000:1000", target], check=True)

    def boot(self) -> None:
        """Switch it on, and wait until systemd has started everything."""
        self._mount()
        network.up(self.net)
        with (self.folder / "console.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    "systemd-nspawn", "--quiet", "--keep-unit", "--register=no", "--settings=no", "--boot",
                    f"--directory={self.root}", f"--machine={self.name}", "--hostname=fresh", "--capability=all",
                    f"--network-bridge={self.net.bridge}", "--resolv-conf=off", "--timezone=off",
                    "--link-journal=no", "--console=read-only",
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **SETTINGS},
                start_new_session=True,
            )  # fmt: skip
        self._write_down()
        eventually(
            lambda: self.as_root("systemctl is-system-running").answer.strip() == "running", 60, "booted"
        )

    def off(self) -> None:
        """Switch it off as its user does, by pressing the button; what a loop device holds goes as in a reboot."""
        assert self.process
        os.kill(self._init(), signal.SIGRTMIN + 4)
        self.process.wait(60)
        self._detach()

    def close(self) -> None:
        """Take it away, whatever it does."""
        if self.process and self.process.poll() is None:
            _kill(self.process.pid)
            self.process.wait()
        _take_away(self.folder, self.net)
        self._note.close()
        (CACHE / f"{self.name}.run").unlink()

    def as_user(
        self,
        script: str,
        *,
        folder: str = "",
        timeout: float = 900,
        settings: Mapping[str, str] | None = None,
    ) -> Run:
        """Run a shell script as the user, in a folder of the home directory, as in a login."""
        words = " ".join(f"{key}={shlex.quote(value)}" for key, value in (settings or {}).items())
        place = shlex.quote(f"/home/{USER}/{folder}")
        lines = f"cd {place} && export LANG=C.UTF-8 {words}\n{script}"
        return self._run(
            ["setpriv", *_ids(1000), "env", "-i", *_environment(USER), "sh", "-c", lines], script, timeout
        )

    def as_root(self, script: str, *, timeout: float = 120) -> Run:
        """Run a shell script as root."""
        return self._run(["env", "-i", *_environment("root"), "sh", "-c", script], script, timeout)

    def traces(self) -> list[str]:
        """Return what there is of Muster's nodes and networks, as lines; an object store's disk is meant to stay."""
        found = self.as_root(TRACES).ok().answer.splitlines()
        found += [f"loop device of {path}" for path in _loops_on(self.root).values()]
        return sorted(line for line in found if self.name not in line and "/object-store." not in line)

    def _run(self, words: Sequence[str], shown: str, timeout: float) -> Run:
        begin = time.monotonic()
        command = ["nsenter", "--target", str(self._init()), "--all", "--", *words]
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False
            )
            out, errors, status = done.stdout, done.stderr, done.returncode
        except subprocess.TimeoutExpired as late:
            out, errors, status = late.stdout or b"", late.stderr or b"", 124
        answer = COLOUR.sub("", out.decode(errors="replace"))
        text = answer + COLOUR.sub("", errors.decode(errors="replace"))
        with (self.folder / "log").open("a") as log:
            log.write(f"\n$ {shown}\n{text}\n=> {status}\n")
        return Run(shown, status, text, time.monotonic() - begin, answer)

    def _init(self) -> int:
        """Its process 1, as this computer sees it; 0 while there is none."""
        return _child(self.process.pid) if self.process else 0

    def _write_down(self) -> None:
        """Note what there is to take away, should this test be killed."""
        known = {
            "folder": str(self.folder),
            "net": asdict(self.net),
            "pid": self.process.pid if self.process else 0,
        }
        self._note.seek(0)
        self._note.write(json.dumps(known))
        self._note.truncate()
        self._note.flush()

    def _mount(self) -> None:
        self.root.mkdir(exist_ok=True)
        if not self.root.is_mount():
            subprocess.run(["mount", "-o", "loop", self.image, self.root], check=True)

    def _detach(self) -> None:
        """Free the loop devices that its nodes had: they are this computer's, and a reboot would end them."""
        _detach_loops_on(self.root)


def _ids(number: int) -> list[str]:
    return [f"--reuid={number}", f"--regid={number}", "--init-groups"]


def _environment(user: str) -> list[str]:
    home = "/root" if user == "root" else f"/home/{user}"
    path = "/usr/local/bin:/usr/bin:/bin" + (":/usr/sbin:/sbin" if user == "root" else "")
    return [f"HOME={home}", f"USER={user}", f"LOGNAME={user}", f"PATH={path}", "TERM=dumb", "SHELL=/bin/bash"]


def pristine(suite: str) -> AbstractContextManager[Path]:
    """Yield the disk of a computer on which nothing was done yet."""
    recipe = (suite, PACKAGES, sorted(FILES.items()), DISK_GB, USER)
    return cached(suite, recipe, lambda image: _install(suite, image))


@contextmanager
def cached(kind: str, recipe: object, make: Callable[[Path], None]) -> Iterator[Path]:
    """Yield a disk of that recipe, made when there is none; it is there for as long as the block lasts."""
    image = CACHE / f"{kind}-{hashlib.sha256(repr(recipe).encode()).hexdigest()[:12]}.img"
    private_folder(CACHE)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not image.exists():
            for old in CACHE.glob(f"{kind}-*"):
                old.unlink()
            fresh = image.with_suffix(".new")
            make(fresh)
            fresh.rename(image)
        yield image


def _install(suite: str, image: Path) -> None:
    """Install Debian on an empty disk."""
    point = CACHE / f".{suite}"
    if point.is_mount():  # what a killed test left
        subprocess.run(["umount", "--lazy", point], check=True)
    point.mkdir(exist_ok=True)
    with image.open("wb") as disk:
        disk.truncate(DISK_GB * 1024**3)
    subprocess.run([*_mkfs(), image], check=True)
    subprocess.run(["mount", "-o", "loop", image, point], check=True)
    try:
        proxies = [f"--aptopt={line.strip()}" for line in rootfs.apt_proxy().splitlines()]
        made = ["mmdebstrap", "--quiet", "--variant=important", f"--include={','.join(PACKAGES)}", *proxies]
        retries = ['--aptopt=Acquire::Retries "3"', "--dpkgopt=force-unsafe-io"]
        subprocess.run([*bootstrap.TIED, *made, *retries, "--format=directory", suite, point], check=True)
        for name, content in FILES.items():
            rootfs.put(point, name, content, 0o440 if "sudoers" in name else 0o644)
        for words in (
            ["useradd", "--create-home", "--shell=/bin/bash", USER],
            ["systemctl", "enable", "-q", "systemd-networkd", "shared"],
            ["systemctl", "mask", "-q", "apt-daily.timer", "apt-daily-upgrade.timer", "getty@.service"],
        ):
            subprocess.run(["chroot", point, *words], check=True)
        for name, certificate in rootfs.extra_certificates().items():
            rootfs.put(point, f"usr/local/share/ca-certificates/{name}", certificate)
        subprocess.run(["chroot", point, "update-ca-certificates"], check=True, capture_output=True)
    finally:
        subprocess.run(["umount", point], check=True)
        point.rmdir()


def sweep() -> None:
    """Take away the computers of tests that were killed; those of others are locked."""
    private_folder(CACHE)
    for path in CACHE.glob("*.run"):
        try:
            with _note(path.stem) as note:
                known = json.loads(note.read() or "{}")
                if known:
                    _kill(known["pid"])
                    _take_away(Path(known["folder"]), Network(**known["net"]))
                path.unlink()
        except BlockingIOError:
            continue


def _note(name: str) -> IO[str]:
    """Open and lock the note of a computer; raises BlockingIOError while its test runs."""
    path = CACHE / f"{name}.run"
    path.touch()
    file = path.open("r+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise
    file.seek(0)
    return file


def _child(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    found = children.read_text().split() if children.exists() else []
    return int(found[0]) if found else 0


def _kill(pid: int) -> None:
    """End the systemd-nspawn of that id, if it is one, and all that runs in its machine."""
    with suppress(OSError):
        if Path(f"/proc/{pid}/exe").readlink().name == "systemd-nspawn":
            if init := _child(pid):
                os.kill(init, signal.SIGKILL)
            os.kill(pid, signal.SIGKILL)


def _take_away(folder: Path, net: Network) -> None:
    """Free mounts, loop devices, files and network of a computer that is off."""
    root = folder / "root"
    if root.is_mount():
        _detach_loops_on(root)
        subprocess.run(["umount", "--recursive", root], check=False)
        if root.is_mount():
            subprocess.run(["umount", "--lazy", root], check=True)
    shutil.rmtree(folder, ignore_errors=True)
    network.down(net)


def _detach_loops_on(root: Path) -> None:
    for device in _loops_on(root):
        subprocess.run(["losetup", "--detach", device], check=True)


def _loops_on(root: Path) -> dict[str, str]:
    """Loop devices of files that lie on the disk mounted at `root`: device -> file."""
    listing = subprocess.run(
        ["losetup", "--json", "--list", "-O", "NAME,BACK-MAJ:MIN,BACK-FILE"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    disk = root.stat().st_dev
    place = f"{os.major(disk)}:{os.minor(disk)}"
    entries = json.loads(listing or '{"loopdevices": []}')["loopdevices"]
    return {e["name"]: e["back-file"] for e in entries if e["back-maj:min"].strip() == place}


def _mkfs() -> list[str]:
    """The command that makes a file system of a file."""
    return ["mkfs.ext4", "-q", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1"]
