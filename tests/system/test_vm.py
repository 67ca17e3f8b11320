"""What only a kernel of its own shows: limits and fences of a node where systemd has all control groups, EC2's first boot."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from typing import Any

import pytest

from provision.providers.ec2 import machines, requests
from provision.providers.ec2.kinds import Kind
from provision.providers.local import client, permission
from provision.providers.local.helper import cgroups, idmap
from tests.system.lab import Run, eventually
from tests.system.vm import VOLUME, NoKernel, VirtualMachine, missing

pytestmark = pytest.mark.long

MEMORY_MB, CORES = 512, 1.5


@pytest.fixture(scope="module")
def vm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualMachine]:
    """A machine after its first boot with Muster's user-data."""
    if reason := missing():
        pytest.skip(reason)
    made = VirtualMachine(tmp_path_factory.mktemp("vm"), client.call("image-base")["id"])
    try:
        made.boot()
        yield made
    except NoKernel:
        pytest.skip("qemu runs no kernel on this computer, neither by KVM nor by emulation")
    finally:
        made.close()


class Node:
    """A local node in the machine, seen from both sides."""

    def __init__(self, vm: VirtualMachine, known: dict[str, Any]) -> None:
        self.vm = vm
        self.first_id: int = known["first_id"]
        self.group = f"/sys/fs/cgroup/system.slice/muster-{known['unit']}.service"
        library = f"sys.path.insert(0, '{permission.INSTALLED}'); from helper import cgroups"
        ask = f"import sys; {library}; print(cgroups.init('{known['unit']}'))"
        self.init = vm.run(f"python3 -ISc {shlex.quote(ask)}").ok().answer.strip()
        self._enter = f"nsenter --target {self.init} --all"
        vm.run(f"until {self._enter} systemctl is-active --quiet ssh; do sleep 1; done", timeout=300).ok()

    def inside(self, script: str) -> Run:
        """Run a shell script as its root, under its own systemd, where its programs run."""
        return self.vm.run(f"{self._enter} systemd-run --quiet --wait --pipe sh -c {shlex.quote(script)}")

    def limits(self) -> dict[str, str]:
        """What its control group says, and the one below, which it takes for the outermost."""
        files = ("memory.max", "memory.swap.max", "cpu.max", "pids.max")
        names = " ".join(f"{folder}{name}" for folder in ("", "payload/") for name in files)
        lines = self.vm.run(f"cd {self.group} && grep -H . {names}").ok().answer.splitlines()
        return dict(line.split(":", 1) for line in lines)


@pytest.fixture(scope="module")
def node(vm: VirtualMachine) -> Node:
    """A small node of the provider `local`, made by the installed helper as its users have it."""
    vm.run(f"install -D -m 0755 /dev/stdin {permission.INSTALLED}", given=permission.archive()).ok()
    request = {
        "cluster": "vm",
        "cluster_id": "c0ffee00",
        "names": ["vm-master"],
        "token": "token",
        "group": {"name": "master", "cores": CORES, "memory_gb": MEMORY_MB / 1024},
        "user_data": vm.user_data,
        "image": "",
    }
    asked = json.dumps(request).encode()
    made = vm.run(f"{permission.INSTALLED} create", given=asked, timeout=300).ok().json()
    return Node(vm, made["ok"][0])


def test_first_boot_shows_the_bootstrap_key(vm: VirtualMachine) -> None:
    """EC2's data source brought the user-data; sshd shows the key in it, the machine's own, and no other."""
    assert vm.run("cloud-id").ok().answer.strip() == "aws"
    assert "DataSourceEc2" in vm.run("cat /run/cloud-init/result.json").ok().json()["v1"]["datasource"]
    own = vm.run("cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub").ok().answer.strip()
    shown = {vm.bootstrap.public.strip(), own}
    eventually(lambda: vm.host_keys() == shown, 120, "showing these keys")


def test_first_boot_has_no_warnings(vm: VirtualMachine) -> None:
    """cloud-init takes every word of the user-data."""
    status = vm.run("cloud-init status --format=json").ok().json()
    assert (status["status"], status["errors"], status["recoverable_errors"]) == ("done", [], {})


def test_first_boot_loads_the_firewall(vm: VirtualMachine) -> None:
    """Before the network may reach anything, and at the next boot too."""
    rules = vm.run("nft list table inet muster && systemctl is-enabled muster-firewall").ok().answer
    assert "policy drop" in rules and "tcp dport 22 accept" in rules and rules.endswith("enabled\n")


def test_data_disk_has_its_name(vm: VirtualMachine) -> None:
    """Debian's udev gives an NVMe disk of Amazon's the name by which the provider knows it."""
    kind = Kind(name="m7i.large", cores=2, memory_gb=8, architecture="x86_64", gpus=0, nvme=True)
    volume = {"DeviceName": requests.DATA_DISK, "Ebs": {"VolumeId": VOLUME}}
    name = machines._data_device({"BlockDeviceMappings": [volume]}, kind)
    assert vm.run(f"test -b {name} && readlink -f {name}").ok().answer == "/dev/nvme0n1\n"


def test_machine_has_all_controllers(vm: VirtualMachine) -> None:
    """The ground of what follows: systemd is process 1, and has every controller in the unified hierarchy."""
    answer = vm.run("cat /proc/1/comm /sys/fs/cgroup/cgroup.controllers").ok().answer
    assert answer.split()[0] == "systemd"
    assert {"cpu", "io", "memory", "pids"} <= set(answer.split()[1:])


def test_limits(node: Node) -> None:
    """A node has what it was given and no swap; what runs in it sees the same."""
    memory, quota = str(MEMORY_MB * 1024**2), f"{int(CORES * 100_000)} 100000"
    one = {
        "memory.max": memory,
        "memory.swap.max": "0",
        "cpu.max": quota,
        "pids.max": str(cgroups.processes_of(MEMORY_MB)),
    }
    assert node.limits() == one | {f"payload/{name}": value for name, value in one.items()}
    seen = node.inside("cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max").ok().answer
    assert seen.splitlines() == [memory, quota]


def test_limits_are_not_the_nodes_to_change(node: Node) -> None:
    """Root in it may not write them."""
    before = node.limits()
    for name in ("memory.max", "cpu.max", "pids.max"):
        assert "Permission denied" in node.inside(f"echo max > /sys/fs/cgroup/{name}").output
    assert node.limits() == before


def test_too_much_memory(node: Node) -> None:
    """A program that takes more than its node has is killed; the node goes on."""
    assert node.inside(f"python3 -c 'bytes(1) * ({MEMORY_MB + 200} << 20)'").status != 0
    events = node.vm.run(f"cat {node.group}/memory.events").ok().answer
    assert "oom_kill 0" not in events, events
    node.vm.run(f"test -d /proc/{node.init}").ok()
    assert node.inside("systemctl is-active ssh").ok().answer == "active\n"


def test_root_is_nobody_on_the_machine(node: Node) -> None:
    """A node's root is a user id of its range, seen from the machine."""
    assert node.inside("id -u").ok().answer == "0\n"
    owner = int(node.vm.run(f"stat -c %u /proc/{node.init}").ok().answer)
    assert owner == node.first_id >= idmap.FIRST


def test_no_disk_can_be_opened(node: Node) -> None:
    """It makes no device, and one that lies in its /dev for everybody is closed to it, unlike /dev/null's twin."""
    node.vm.run(
        f"nsenter --target {node.init} --mount sh -c "
        "'mknod -m 666 /dev/twin c 1 3 && mknod -m 666 /dev/disk b $(tr : \" \" < /sys/block/vda/dev)'"
    ).ok()
    node.inside("cat /dev/twin && test -b /dev/disk").ok()
    assert "Operation not permitted" in node.inside("head -c 1 /dev/disk").output
    assert node.inside("mknod /tmp/disk b 254 0").status != 0


def test_metadata_is_the_machines_alone(node: Node) -> None:
    """What EC2 tells the machine, credentials among it, is not told to its nodes."""
    ask = "python3 -c \"import socket; socket.create_connection(('169.254.169.254', 80), 10)\""
    node.vm.run(ask).ok()
    assert "timed out" in node.inside(ask).output
