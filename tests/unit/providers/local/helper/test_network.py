"""Networks as the kernel has them, and who changes them when."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from provision.core.paths import PROJECT
from provision.providers.local.helper import capacity, network, nodes, registry
from provision.providers.local.helper.errors import HelperError
from provision.providers.local.helper.registry import Network, Registry, Store
from provision.providers.local.helper.system import locked

CLUSTER, STORE = "0a1b2c3d", "ffffffff"
MADE = f"""
import sys
from pathlib import Path
from provision.providers.local.helper import forwarding, network
from provision.providers.local.helper.registry import Network
forwarding.MINE = Path(sys.argv[1])
net = Network("{CLUSTER}", "retina", "10.77.1.0/24", 0)
network.up(net)
network.up(net)
print(Path("/proc/sys/net/ipv6/conf/mu{CLUSTER}/disable_ipv6").read_text().strip(), network.faults(net))
network.down(net)
print(network.is_up(net))
"""

# A node at .10 of the bridge, and a container whose port 5000 is published here as 3128 and as 5432.
PUBLISHED = f"""
import socket, subprocess, sys
from pathlib import Path
from provision.providers.local.helper import forwarding, network
from provision.providers.local.helper.registry import Network

def sh(script, *words):
    return subprocess.run(["sh", "-c", script, "-", *words], capture_output=True, text=True, check=True).stdout

def machine(link, address, gateway):
    held = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; read -r end"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    held.stdout.readline()
    sh('''ip link add $1 type veth peer name e0 netns $2 && ip link set $1 up
        nsenter --target $2 --net sh -ec "ip addr add $3/24 dev e0; ip link set e0 up; ip route add default via $4"
        ''', link, str(held.pid), address, gateway)
    return held

forwarding.MINE = Path(sys.argv[1])
net = Network("{CLUSTER}", "retina", "10.77.1.0/24", 0, host_ports=[3128])
network.up(net)
node = machine("v-node", "10.77.1.10", net.gateway)
sh("ip link set v-node master $1", net.bridge)
container = machine("v-inner", "172.17.0.2", "172.17.0.1")
sh("ip addr add 172.17.0.1/24 dev v-inner")
for port in (3128, 5432):
    sh("nft add table ip theirs && nft add chain ip theirs published '{{ type nat hook prerouting priority dstnat; }}' &&"
       " nft add rule ip theirs published fib daddr type local tcp dport $1 dnat to 172.17.0.2:5000", str(port))
serve = "import socket; s = socket.create_server(('', 5000)); s.settimeout(20); print(flush=True); [s.accept() for _ in range(9)]"
server = subprocess.Popen(["nsenter", "--target", str(container.pid), "--net", sys.executable, "-c", serve],
    stdout=subprocess.PIPE)
server.stdout.readline()
ask = "import socket, sys; socket.create_connection(('10.77.1.1', int(sys.argv[1])), 1)"
for port in (3128, 5432):
    asked = ["nsenter", "--target", str(node.pid), "--net", sys.executable, "-c", ask, str(port)]
    print(port, subprocess.run(asked, capture_output=True).returncode == 0)
for one in (server, node, container):
    one.kill()
"""


def apart(script: str, folder: Path) -> list[str]:
    """Run a Python script in a network namespace of its own; return its lines."""
    words = [
        "unshare",
        "--net",
        "--mount",
        "sh",
        "-ec",
        'mount -t sysfs none /sys; ip link set lo up; exec "$@"',
        "-",
    ]
    done = subprocess.run(
        [*words, sys.executable, "-c", script, str(folder / "mine")],
        cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert not done.returncode, done.stderr
    return done.stdout.splitlines()


@pytest.mark.skipif(os.geteuid() != 0, reason="makes a network namespace")
@pytest.mark.skipif(not Path("/proc/sys/net/ipv6").exists(), reason="this kernel has no IPv6")
def test_nodes_reach_this_computer_by_no_other_protocol(tmp_path: Path) -> None:
    """The rules are for IPv4; by IPv6 a node's root would reach whatever listens on every address."""
    assert apart(MADE, tmp_path) == ["1 []", "False"]


@pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces")
def test_nodes_reach_nothing_that_containers_serve_here_but_a_proxy(tmp_path: Path) -> None:
    """What is published by address translation meets no rule for what this computer itself takes."""
    assert apart(PUBLISHED, tmp_path) == ["3128 True", "5432 False"]


def test_networks_are_raised_under_the_registrys_lock_and_only_those_that_there_are(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised: list[tuple[str, object]] = []

    def up(net: Network, clients: list[str] | None) -> None:
        with pytest.raises(HelperError), locked(root / "registry.lock", deadline_s=0):
            pass
        raised.append((net.id, clients))

    monkeypatch.setattr(network, "up", up)
    monkeypatch.setattr(network, "is_up", lambda net: True)
    state = Registry()
    state.networks = {
        CLUSTER: Network(CLUSTER, "retina", "10.77.1.0/24", 0),
        STORE: Network(STORE, "store-default", "10.77.2.0/24", 0),
    }
    state.stores["default"] = Store("default", STORE, 0, 1.0, clusters={CLUSTER: "key"})
    state.save()
    nodes.raise_networks(CLUSTER)
    assert raised == [(CLUSTER, None), (STORE, ["10.77.1.0/24"])]
    raised.clear()
    nodes.raise_networks("deadbeef")
    assert not raised, "deleted while somebody was about to mend it"
    assert registry.load().networks.keys() == {CLUSTER, STORE}


def test_ports_that_older_nodes_use_stay_open() -> None:
    net = Network(CLUSTER, "retina", "10.77.1.0/24", 0)
    net.admit([3128])
    net.admit([])
    net.admit([8443, 3128])
    assert net.host_ports == [3128, 8443]


def test_nodes_do_not_ask_the_cloud_that_this_computer_is_in() -> None:
    """Its metadata service would take them for this computer, and hand out its passwords; names it may tell."""
    rules = network._table(Network(CLUSTER, "retina", "10.77.1.0/24", 0), None)
    assert (
        f'iifname "mu{CLUSTER}" ip daddr 169.254.0.0/16 meta l4proto {{ tcp, udp }} th dport != 53 drop'
        in rules
    )


def test_a_kernel_that_is_too_old_is_told_before_the_first_node(monkeypatch: pytest.MonkeyPatch) -> None:
    """From 5.12 to 5.18 mounts can be idmapped, and overlays over them cannot be made."""
    old = os.uname_result(("Linux", "old", "5.15.0-91-generic", "", "x86_64"))
    monkeypatch.setattr(capacity.os, "uname", lambda: old)
    with pytest.raises(HelperError, match=r"Linux 5\.15\.0-91-generic: .*it takes Linux 5\.19 or newer"):
        capacity.require_user_namespaces()
