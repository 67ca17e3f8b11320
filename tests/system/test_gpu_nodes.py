"""GPU nodes as far as they go without a card: the packages are there, the module is made, the wheels fit the driver."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from provision.core.paths import PROJECT
from provision.providers.ec2 import gpus
from provision.providers.local.helper.rootfs import apt_proxy

pytestmark = pytest.mark.long

VERSIONS = yaml.safe_load((PROJECT / "group_vars/all/versions.yml").read_text())["versions"]
WITHIN = 'mount -t proc proc "$1/proc"; mount --bind /dev "$1/dev"; shift; exec "$@"'
UNAME = '#!/bin/sh\n[ "$*" = -r ] && exec echo {kernel}\nexec /usr/bin/uname "$@"\n'
INIT = """\
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox insmod /nvidia.ko
/bin/busybox dmesg
/bin/busybox poweroff -f
"""
PACK = """\
mkdir -p /root/first/bin /root/first/proc
cp /usr/bin/busybox /root/first/bin
xz -dc "/lib/modules/$1/updates/dkms/nvidia-current.ko.xz" > /root/first/nvidia.ko
cd /root/first
find . | cpio -o -H newc --quiet | gzip -1 > /root/first.gz
"""
ASK = (
    'chroot "$1" apt-cache show --no-all-versions linux-headers-cloud-amd64 python3-torch python3-torchvision'
)


class Tree:
    """A Debian 13 that believes to run the newest kernel of Debian's for clouds."""

    def __init__(self, root: Path) -> None:
        self.root = root
        options = [f"--aptopt={line.strip()}" for line in apt_proxy().splitlines()]
        packages = "--include=python3,python3-apt,kmod,ca-certificates,busybox-static,cpio"
        hook = f"--customize-hook={ASK} > {root.parent}/shown"
        subprocess.run(
            ["mmdebstrap", "--variant=apt", "--format=directory", packages, hook, *options,
             VERSIONS["debian"], root],
            check=True,
        )  # fmt: skip
        shown = [one for one in (root.parent / "shown").read_text().split("\n\n") if one.strip()]
        fields = [dict(line.partition(": ")[::2] for line in one.splitlines()) for one in shown]
        self.known = {one["Package"]: one for one in fields}
        depends = self.known["linux-headers-cloud-amd64"]["Depends"]
        self.kernel = depends.split()[0].removeprefix("linux-headers-").rstrip(",")
        self.put("usr/local/bin/uname", UNAME.format(kernel=self.kernel))
        self.put("usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n")

    def put(self, name: str, content: str) -> None:
        """Write a program."""
        (self.root / name).write_text(content)
        (self.root / name).chmod(0o755)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command on this computer that may enter the tree; its mounts end with it."""
        return subprocess.run(
            ["unshare", "--mount", "--propagation=private", "sh", "-euc", WITHIN, "-", self.root, *command],
            env={**os.environ, "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg")}, cwd=PROJECT,
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    def role(self, part: str) -> subprocess.CompletedProcess[str]:
        """Run a part of the role in the tree."""
        task = {"ansible.builtin.import_role": {"name": "nvidia", "tasks_from": part}}
        book = self.root.parent / f"{part}.yml"
        book.write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": [task]}]))
        connection = {
            "ansible_connection": "community.general.chroot",
            "ansible_host": str(self.root),
            "ansible_python_interpreter": "/usr/bin/python3",
        }
        program = str(Path(sys.executable).with_name("ansible-playbook"))
        return self.run(program, "-i", "retina-gpu-1,", str(book), "-e", json.dumps(connection))


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tree]:
    if os.geteuid() or not shutil.which("mmdebstrap"):
        pytest.skip("needs root and mmdebstrap")
    folder = tmp_path_factory.mktemp("gpu")
    yield Tree(folder / "tree")
    shutil.rmtree(folder)


def test_the_driver_is_made_for_the_kernel_and_misses_nothing_but_a_card(tree: Tree) -> None:
    installed = tree.role("install")
    assert installed.returncode == 0, installed.stdout + installed.stderr
    modules = tree.root / "lib/modules" / tree.kernel / "updates/dkms"
    made = {path.name.partition(".")[0] for path in modules.iterdir()}
    assert {"nvidia-current", "nvidia-current-uvm"} <= made
    asked = tree.run("chroot", str(tree.root), "modinfo", "-k", tree.kernel, "nvidia-current")
    said = dict(line.partition(":")[::2] for line in asked.stdout.splitlines())
    assert said["version"].strip().startswith("550.") and said["vermagic"].split()[0] == tree.kernel
    assert "changed=0" in tree.role("install").stdout

    loaded = tree.role("configure")
    (line,) = {line for line in loaded.stdout.splitlines() if line.startswith("fatal: ")}
    assert "retina-gpu-1: its type has 1 GPU(s), NVIDIA's driver sees 0 (" in line
    assert "couldn't communicate with the NVIDIA driver" in line or "is missing, or says nothing" in line


@pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="needs qemu-system-x86")
def test_the_kernel_takes_the_module_which_then_looks_for_a_card(tree: Tree) -> None:
    (tree.root / "root/first").mkdir()
    tree.put("root/first/init", INIT)
    assert tree.run("chroot", str(tree.root), "sh", "-euc", PACK, "-", tree.kernel).returncode == 0
    booted = subprocess.run(
        ["qemu-system-x86_64", "-m", "1500", "-nographic", "-no-reboot",
         "-kernel", tree.root / f"boot/vmlinuz-{tree.kernel}", "-initrd", tree.root / "root/first.gz",
         "-append", "console=ttyS0 quiet panic=-1"],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=600, check=False,
    )  # fmt: skip
    said = booted.stdout.decode(errors="replace")
    assert "NVRM: No NVIDIA GPU found" in said, said
    assert "nvidia: Unknown symbol" not in said


def test_the_table_of_types_is_the_drivers(tree: Tree) -> None:
    """Debian ships NVIDIA's own list of chips with the driver."""
    archive = "deb http://deb.debian.org/debian trixie contrib non-free non-free-firmware\n"
    (tree.root / "etc/apt/sources.list.d/non-free.list").write_text(archive)
    fetch = "cd /root && apt-get update -q && apt-get download -q nvidia-driver && dpkg-deb -x nvidia-driver_*.deb got"
    assert tree.run("chroot", str(tree.root), "sh", "-euc", fetch).returncode == 0
    listed = tree.root / "root/got/usr/share/doc/nvidia-driver/supported-gpus.json.gz"
    chips = json.loads(gzip.decompress(listed.read_bytes()))["chips"]
    driven = {
        word for chip in chips if "legacybranch" not in chip for word in re.split(r"[ -]", chip["name"])
    }
    # The list leaves the T4 out, and has another card of its chip (TU104); the vendor's release notes name it.
    assert set(gpus.DRIVEN.values()) - {"T4"} <= driven
    assert "Quadro RTX 5000" in {chip["name"] for chip in chips if "legacybranch" not in chip}
    assert {"A100", "H100", "H200"} <= driven, "what lacks is the Fabric Manager alone"
    assert driven.isdisjoint({"T4G", "T4g", "B200", "B300", "GB200"})
    shown = tree.run("chroot", str(tree.root), "apt-cache", "search", "--names-only", "fabric-?manager")
    assert shown.stdout == "", "Debian has a Fabric Manager now: look at the table"


def test_both_kinds_of_nodes_have_one_version_of_pytorch(tree: Tree) -> None:
    for package, name in (("python3-torch", "pytorch"), ("python3-torchvision", "torchvision")):
        assert tree.known[package]["Version"].partition("+")[0].partition("-")[0] == VERSIONS[name]


def test_the_wheels_are_there_and_built_for_what_the_driver_knows(tmp_path: Path) -> None:
    """By their metadata alone."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "pip"], check=True)
    platforms = [f"--platform=manylinux{kind}_x86_64" for kind in ("_2_28", "_2_17", "2014", "1")]
    subprocess.run(
        [tmp_path / "pip/bin/pip", "install", "--quiet", "--dry-run", "--ignore-installed",
         "--only-binary=:all:", "--python-version=3.13", "--implementation=cp", "--abi=cp313", "--abi=none",
         *platforms, f"--target={tmp_path / 'target'}", f"--report={tmp_path / 'report.json'}",
         f"torch=={VERSIONS['pytorch']}", f"torchvision=={VERSIONS['torchvision']}"],
        check=True,
    )  # fmt: skip
    found = json.loads((tmp_path / "report.json").read_text())["install"]
    wheels = {one["metadata"]["name"]: one["metadata"]["version"] for one in found}
    assert (wheels["torch"], wheels["torchvision"]) == (VERSIONS["pytorch"], VERSIONS["torchvision"])
    assert wheels["nvidia-cuda-runtime-cu12"].startswith("12.4."), "driver 550 knows CUDA up to 12.4"
