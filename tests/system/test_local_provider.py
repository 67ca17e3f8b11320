"""Real machines on this computer: boot, reboot, crash, kill at any moment, and nothing left afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from provision.config.load import load_config
from provision.core.errors import NotReady, ProviderError
from provision.core.model import ClusterIdentity, CreateRequest, Machine, NodeState
from provision.core.paths import PROJECT
from provision.core.spec import NodeGroup
from provision.core.wait import until
from provision.images import cache
from provision.providers.local import client, images, stores
from provision.providers.local.helper import cgroups
from provision.providers.local.provider import LocalProvider, group_request
from tests.names import MARK

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(os.geteuid() != 0, reason="looks at processes and mounts of root"),
]
ROOT = Path("/var/lib/muster")
GROUP = NodeGroup("worker", "local", None, 1, 0.5, 1)
SPEC = load_config(PROJECT / "inventories" / "local.yml")
USER_DATA = """\
#cloud-config
bootcmd:
  - [cloud-init-per, instance, key, ssh-keygen, -q, -t, ed25519, -N, "", -f, /etc/ssh/ssh_host_ed25519_key]
ssh_deletekeys: false
ssh_genkeytypes: []
users:
  - {name: muster, sudo: "ALL=(ALL) NOPASSWD:ALL", shell: /bin/bash}
"""


@pytest.fixture(scope="module", autouse=True)
def base() -> None:
    images.ensure_base()


@pytest.fixture
def provider() -> LocalProvider:
    return LocalProvider(SPEC, Path("/none"))


@pytest.fixture
def cluster(provider: LocalProvider) -> Iterator[ClusterIdentity]:
    """An identity of its own; the test fails when anything of it is left afterwards."""
    identity = ClusterIdentity(f"{MARK}local", secrets.token_hex(4))
    units: set[str] = set()
    yield identity
    units |= units_of(identity)
    provider.delete(identity, provider.list(identity))
    assert traces(identity, units) == []


def request(cluster: ClusterIdentity, count: int = 2, token: str = "t1") -> CreateRequest:  # noqa: S107  no password
    names = tuple(f"ptest-worker-{number}" for number in range(1, count + 1))
    return CreateRequest(cluster, GROUP, names, token, USER_DATA, "", {})


def registered() -> dict[str, dict[str, dict[str, str]]]:
    return json.loads((ROOT / "registry.json").read_text())


def units_of(cluster: ClusterIdentity) -> set[str]:
    return {node["unit"] for node in registered()["nodes"].values() if node["cluster_id"] == cluster.id}


def traces(cluster: ClusterIdentity, units: set[str]) -> list[str]:
    """What on this computer belongs to the cluster; others work at the same time and do not count."""
    listings = [
        Path("/proc/self/mountinfo").read_text(),
        output("losetup", "--list", "--noheadings"),
        output("ip", "-o", "link"),
        output("nft", "list", "ruleset"),
        output("ps", "-eo", "pid,args", "--no-headers"),
        "\n".join(map(str, ROOT.glob("*/*"))),
        "\n".join(map(str, ROOT.glob("*/.*"))),
        "\n".join(str(path) for unit in units for path in Path("/sys/fs/cgroup").glob(f"**/*{unit}*")),
        "\n".join(map(str, Path("/run/systemd/nspawn").rglob("*"))),
        (ROOT / "registry.json").read_text(),
    ]
    words = {cluster.id, *units}
    return [line for text in listings for line in text.splitlines() if any(word in line for word in words)]


def output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def answers(machine: Machine) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((machine.address, 22), 0.5) as connection:
        return connection.recv(4) == b"SSH-"
    return False


def wait_for_ssh(machines: list[Machine]) -> None:
    for machine in machines:
        assert until(lambda machine=machine: answers(machine), deadline_s=60), f"{machine.name} has no SSH"


def inside(machine: Machine, *command: str) -> str:
    init = cgroups.init(unit_of(machine))
    assert init is not None
    return output("nsenter", "--target", str(init), "--all", *command)


def unit_of(machine: Machine) -> str:
    return registered()["nodes"][key_of(machine)]["unit"]


def key_of(machine: Machine) -> str:
    return machine.provider_id.partition("/")[0]


def states(provider: LocalProvider, cluster: ClusterIdentity) -> list[NodeState]:
    return [machine.state for machine in provider.list(cluster)]


def becomes(provider: LocalProvider, cluster: ClusterIdentity, *wanted: NodeState) -> bool:
    return bool(until(lambda: states(provider, cluster) == list(wanted), deadline_s=20))


def supervisor_and_nspawn(machine: Machine) -> tuple[int, int]:
    unit = unit_of(machine)
    found = {}
    for pid in cgroups.processes(unit):
        words = [b""]
        with contextlib.suppress(OSError):  # processes of the node come and go
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if words[0] in (b"/bin/sh", b"systemd-nspawn") and any(unit.encode() in word for word in words):
            found[words[0]] = pid
    return found[b"/bin/sh"], found[b"systemd-nspawn"]


def test_a_machine_is_what_was_asked_for(provider: LocalProvider, cluster: ClusterIdentity) -> None:
    machines = provider.create(request(cluster))
    wait_for_ssh(machines)
    assert provider.create(request(cluster)) == machines == provider.list(cluster)
    first, second = machines
    assert inside(first, "hostname").strip() == "ptest-worker-1"
    group = cgroups.groups(unit_of(first))[0]
    limit = next(path for path in (group / "memory.max", group / "memory.limit_in_bytes") if path.exists())
    assert int(limit.read_text()) == 512 * 1024**2
    assert inside(first, "cat", "/etc/machine-id") != inside(second, "cat", "/etc/machine-id")
    assert 0.9 < int(inside(first, "df", "--output=size", "-B1", "/data").split()[1]) / 1024**3 <= 1
    assert int(inside(first, "df", "--output=size", "-BG", "/").split()[1].rstrip("G")) <= 20, (
        "not this computer's"
    )
    inside(first, "bash", "-c", f"exec 3<> /dev/tcp/{second.address}/22")
    assert inside(first, "stat", "-c", "%a %U", "/var/lib/cloud/seed/nocloud/user-data").strip() == "600 root"
    assert "ro," in inside(first, "findmnt", "-no", "OPTIONS", "/var/cache/muster/artifacts")
    with pytest.raises(ProviderError, match="exists already"):
        provider.create(request(cluster, token="t2"))


def test_another_user_of_the_computer(
    provider: LocalProvider, cluster: ClusterIdentity, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever comes second, through sudo, has downloads that are theirs and that their machines see."""
    uid = 65001
    monkeypatch.setenv("SUDO_UID", str(uid))
    downloads = ROOT / "artifacts" / str(uid)
    try:
        (machine,) = provider.create(request(cluster, 1))
        assert downloads.stat().st_uid == uid
        assert cache.cache_folder() == downloads
        (downloads / "file").write_text("theirs")
        wait_for_ssh([machine])
        assert inside(machine, "cat", "/var/cache/muster/artifacts/file") == "theirs"
        monkeypatch.setenv("SUDO_UID", str(uid + 1))
        with pytest.raises(ProviderError, match=f"belongs to user {uid} of this computer"):
            provider.delete(cluster, [machine])
        assert {m.labels["mine"] for m in provider.everything() if m.name == machine.name} == {"no"}
        monkeypatch.setenv("SUDO_UID", str(uid))
        provider.delete(cluster, [machine])
    finally:
        for number in (uid, uid + 1):
            shutil.rmtree(downloads.with_name(str(number)), ignore_errors=True)


def test_reboot_power_off_and_start(provider: LocalProvider, cluster: ClusterIdentity) -> None:
    (machine,) = provider.create(request(cluster, 1))
    wait_for_ssh([machine])
    inside(machine, "sh", "-c", "echo kept > /root/file && echo disk > /data/file")
    before = cgroups.init(unit_of(machine))
    inside(machine, "systemctl", "--no-block", "reboot")
    assert until(lambda: cgroups.init(unit_of(machine)) not in (None, before), deadline_s=30)
    wait_for_ssh([machine])
    inside(machine, "systemctl", "--no-block", "poweroff")
    assert becomes(provider, cluster, NodeState.STOPPED)
    provider.start(cluster, [machine])
    wait_for_ssh([machine])
    assert inside(machine, "cat", "/root/file") == "kept\n"
    assert inside(machine, "cat", "/data/file") == "disk\n"
    provider.stop(cluster, [machine])
    assert states(provider, cluster) == [NodeState.STOPPED]
    assert "/root" not in "".join(line for line in traces(cluster, set()) if "overlay" in line)
    provider.start(cluster, [machine])
    assert provider.list(cluster) == [machine]


@pytest.mark.parametrize("victims", [(0,), (1,), (0, 1)], ids=["supervisor", "nspawn", "both"])
def test_killed_processes(
    provider: LocalProvider, cluster: ClusterIdentity, victims: tuple[int, ...]
) -> None:
    (machine,) = provider.create(request(cluster, 1))
    wait_for_ssh([machine])
    found = supervisor_and_nspawn(machine)
    for victim in victims:
        os.kill(found[victim], signal.SIGKILL)
    alive = NodeState.STOPPED if victims == (1,) else NodeState.RUNNING
    assert becomes(provider, cluster, alive)
    if alive == NodeState.STOPPED:
        assert not cgroups.processes(unit_of(machine))
        provider.start(cluster, [machine])
    wait_for_ssh([machine])


def killed_helper(verb: str, body: dict[str, object], after_s: float) -> None:
    command = [*client.direct(), verb]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        assert process.stdin
        process.stdin.write(json.dumps(body))
        process.stdin.close()
        time.sleep(after_s)
        process.kill()


def test_a_helper_killed_at_any_moment(provider: LocalProvider, cluster: ClusterIdentity) -> None:
    wanted = request(cluster)
    body: dict[str, object] = {
        "cluster": cluster.name, "cluster_id": cluster.id, "group": group_request(GROUP),
        "names": list(wanted.names), "token": wanted.token, "user_data": USER_DATA, "image": "",
        "labels": {}, "inherit": {},
    }  # fmt: skip
    seen: set[str] = set()
    moments = [0.04, 0.1, 0.16, 0.22, 0.3]
    for moment in moments:
        killed_helper("create", body, moment)
        machines = provider.create(wanted)
        assert [machine.state for machine in machines] == [NodeState.RUNNING] * 2
        assert len(provider.list(cluster)) == 2
        seen |= units_of(cluster)
        killed_helper("delete", {"cluster_id": cluster.id, "names": list(wanted.names)}, moment)
        provider.delete(cluster, provider.list(cluster))
        assert traces(cluster, seen) == []


def test_a_machine_comes_back_after_the_computer_was_off(
    provider: LocalProvider, cluster: ClusterIdentity
) -> None:
    (machine,) = provider.create(request(cluster, 1))
    unit = unit_of(machine)
    cgroups.kill(unit)  # what is left after a reboot: the registry and the disks
    cgroups.remove(unit)
    for part in ("root", "data", "changes"):
        subprocess.run(["umount", ROOT / "nodes" / key_of(machine) / part], check=True)
    subprocess.run(["ip", "link", "del", f"mu{cluster.id}"], check=True)
    subprocess.run(["nft", "delete", "table", "ip", f"muster_{cluster.id}"], check=True)
    assert states(provider, cluster) == [NodeState.STOPPED]
    provider.start(cluster, [machine])
    wait_for_ssh([machine])


def test_what_does_not_fit_is_refused_and_nothing_changed(
    provider: LocalProvider, cluster: ClusterIdentity
) -> None:
    with pytest.raises(NotReady, match="more fit"):
        provider.create(
            CreateRequest(cluster, NodeGroup("worker", "local", None, 1, 4000, 1), ("a",), "t", "", "", {})
        )
    with pytest.raises(ProviderError, match=r"127\.0\.0\.0/24 is not a /24 inside 10\.0\.0\.0/8"):
        client.call("ready", {"groups": [{**group_request(GROUP), "count": 1}], "subnet": "127.0.0.0/24"})
    assert traces(cluster, set()) == []


def test_a_layer_is_the_changes_of_a_builder(provider: LocalProvider, cluster: ClusterIdentity) -> None:
    key = f"ptest{secrets.token_hex(4)}"
    (builder,) = provider.create(request(cluster, 1))
    wait_for_ssh([builder])
    inside(
        builder,
        "sh",
        "-c",
        "echo baked > /opt/file; rm /etc/issue; mkdir -p /root/.ssh; echo x > /root/.ssh/id",
    )
    assert images.commit(cluster, key, {"made": "by a test"}) == key
    try:
        provider.delete(cluster, provider.list(cluster))
        (root,) = (ROOT / "images").glob(f"{key}.*/root")
        assert not (root / "root/.ssh").exists()
        assert not list(root.glob("etc/ssh/ssh_host_*"))
        assert not list(root.glob("var/lib/cloud/seed"))
        (machine,) = provider.create(
            CreateRequest(cluster, GROUP, ("ptest-worker-9",), "t9", USER_DATA, key, {})
        )
        wait_for_ssh([machine])
        assert machine.image == key
        assert (
            inside(machine, "sh", "-c", "cat /opt/file; test -e /etc/issue || echo gone") == "baked\ngone\n"
        )
        (image,) = [image for image in images.list_images() if image["key"] == key]
        assert (image["used_by"], image["meta"]) == ([f"{MARK}local/ptest-worker-9"], {"made": "by a test"})
        with pytest.raises(ProviderError, match="is used by"):
            images.remove(key)
    finally:
        provider.delete(cluster, provider.list(cluster))
        images.remove(key)


def test_prune_takes_what_nothing_uses_and_nothing_else(
    provider: LocalProvider, cluster: ClusterIdentity, tmp_path: Path
) -> None:
    """The command, on a copy of what is known of this computer's images: those of others stay, unused or not."""
    used, unused = (f"ptest{secrets.token_hex(4)}" for _ in range(2))
    for key in (used, unused):
        (builder,) = provider.create(request(cluster, 1, token=key))
        assert images.commit(cluster, key) == key
        provider.delete(cluster, [builder])
    try:
        provider.create(CreateRequest(cluster, GROUP, ("ptest-worker-9",), "t9", USER_DATA, used, {}))
        for path in (ROOT / "images").glob("[!.]*/meta.json"):
            (tmp_path / path.parent.name / "root").mkdir(parents=True)
            shutil.copy(path, tmp_path / path.parent.name)
        script = (
            f"set -e; mount --bind {tmp_path} {ROOT}/images; ./muster images list >&2;"
            " ./muster images prune --yes >&2; ./muster images list --json"
        )
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", script],
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=True,
        )
        left = {image["key"]: image["used_by"] for image in json.loads(done.stdout)}
        ids = {path.parent.name for path in tmp_path.glob("*/meta.json")}
        assert left[used] == [f"{MARK}local/ptest-worker-9"] and all(left.values())
        assert unused not in left and unused in done.stderr
        assert {image for node in registered()["nodes"].values() for image in node["lower"]} <= ids
        assert {used, unused} <= images.layers(), "in truth nothing was removed"
    finally:
        provider.delete(cluster, provider.list(cluster))
        images.remove(used, unused)


def test_a_store_outlives_its_clusters(provider: LocalProvider, cluster: ClusterIdentity) -> None:
    name = f"{MARK}{secrets.token_hex(3)}"
    other = ClusterIdentity(f"{MARK}other", secrets.token_hex(4))
    key = "ssh-ed25519 " + "A" * 68

    def opened(identity: ClusterIdentity) -> stores.OpenStore:
        return stores.store_open(name, identity, key, image="", user_data=USER_DATA, group=GROUP)

    def condition() -> str:
        return next(store.state for store in stores.store_list() if store.name == name)

    try:
        first = opened(cluster)
        assert first.started
        second = opened(other)
        assert not second.started
        assert (first.secret_key, first.host_key) == (second.secret_key, second.host_key)
        scanned = until(lambda: scan(first.address), deadline_s=30)
        assert scanned
        assert first.host_key.split()[1] in scanned
        (ROOT / "stores" / name / "data" / "object").write_text("kept")
        assert not stores.store_close(name, cluster)
        assert condition() == "running"
        with pytest.raises(ProviderError, match="is used by"):
            stores.store_remove(name)
        assert stores.store_close(name, other)
        assert condition() == "stopped"
        assert stores.store_close(name, other)
        again = opened(cluster)
        assert again.started
        assert (again.secret_key, again.host_key) == (first.secret_key, first.host_key)
        assert (ROOT / "stores" / name / "data" / "object").read_text() == "kept"
    finally:
        for identity in (cluster, other):
            stores.store_close(name, identity)
        stores.store_remove(name)
    assert name not in (ROOT / "registry.json").read_text()
    assert not (ROOT / "stores" / name).exists()


def test_every_user_has_stores_of_their_own(
    provider: LocalProvider, cluster: ClusterIdentity, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that somebody else calls by the same name is another one, and stays out of the way."""
    name, uid = f"{MARK}{secrets.token_hex(3)}", 65001
    theirs = ClusterIdentity(f"{MARK}theirs", secrets.token_hex(4))
    key = "ssh-ed25519 " + "A" * 68

    def opened(identity: ClusterIdentity) -> stores.OpenStore:
        return stores.store_open(name, identity, key, image="", user_data=USER_DATA, group=GROUP)

    try:
        mine = opened(cluster)
        monkeypatch.setenv("SUDO_UID", str(uid))
        other = opened(theirs)
        assert other.address != mine.address and other.secret_key != mine.secret_key
        listed = {store.name: store.clusters for store in stores.store_list()}
        assert (listed[name], listed[f"{name}.0"]) == ((theirs.id,), (cluster.id,))
        with pytest.raises(ProviderError, match="belongs to user 0"):
            stores.store_remove(f"{name}.0")
        assert not stores.store_close(name, cluster), "theirs was never attached to it"
        assert stores.store_close(name, theirs)
        monkeypatch.delenv("SUDO_UID")
        stores.store_remove(f"{name}.{uid}")
        assert next(s.state for s in stores.store_list() if s.name == name) == "running"
    finally:
        monkeypatch.setenv("SUDO_UID", str(uid))
        stores.store_close(name, theirs)
        with contextlib.suppress(ProviderError):  # removed by root above
            stores.store_remove(name)
        monkeypatch.delenv("SUDO_UID")
        stores.store_close(name, cluster)
        stores.store_remove(name)
        shutil.rmtree(ROOT / "artifacts" / str(uid), ignore_errors=True)
    assert name not in (ROOT / "registry.json").read_text()


def scan(address: str) -> str:
    return subprocess.run(
        ["ssh-keyscan", "-T", "1", "-t", "ed25519", address], capture_output=True, text=True, check=False
    ).stdout


def test_a_new_image_replaces_the_machine_of_a_store_but_nothing_else(cluster: ClusterIdentity) -> None:
    name, key = f"{MARK}{secrets.token_hex(3)}", f"ptest{secrets.token_hex(4)}"
    login = "ssh-ed25519 " + "A" * 68
    provider = LocalProvider(SPEC, Path("/none"))
    provider.create(request(cluster, 1))
    images.commit(cluster, key)
    try:
        before = stores.store_open(name, cluster, login, image="", user_data=USER_DATA, group=GROUP)
        (ROOT / "stores" / name / "data" / "object").write_text("kept")
        after = stores.store_open(name, cluster, login, image=key, user_data=USER_DATA, group=GROUP)
        assert after.started
        assert (after.address, after.secret_key, after.host_key) == (
            before.address,
            before.secret_key,
            before.host_key,
        )
        assert (ROOT / "stores" / name / "data" / "object").read_text() == "kept"
    finally:
        stores.store_close(name, cluster)
        stores.store_remove(name)
        images.remove(key)


FORWARDING = """
import json, subprocess, sys
sys.path.insert(0, sys.argv[1])
from provision.providers.local.helper import network
from provision.providers.local.helper.registry import Network
def nft(text):
    subprocess.run(["nft", "-f", "-"], input=text, text=True, check=True)
def rules():
    return subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True).stdout
net = Network("abcdef01", "x", "10.77.9.0/24", 0)
seen = []
def look():
    seen.append((rules(), network.faults(net)))
nft("table inet early { chain passing { type filter hook forward priority 0; policy drop; tcp dport 22 accept; }; }")
look()
network.up(net)
network.up(net)
look()
nft("table ip late { chain passing { type filter hook forward priority 0; policy accept; tcp dport 1 reject; }; }")
look()
network.up(net)
look()
nft("flush ruleset")
look()
network.up(net)
look()
network.down(net)
network.down(net)
seen.append((rules(), open("/proc/sys/net/ipv4/ip_forward").read().strip()))
print(json.dumps(seen))
"""


def test_a_firewall_that_comes_early_or_late_lets_own_packets_through(tmp_path: Path) -> None:
    """In a network namespace of its own: what is dropped is named, put right by `up`, and taken back."""
    script = (
        f"mount -t sysfs none /sys && mount --bind {tmp_path} {ROOT}"
        f" && sysctl -qw net.ipv4.ip_forward=0 && exec {sys.executable} - {PROJECT}"
    )
    done = subprocess.run(
        ["unshare", "--net", "--mount", "sh", "-c", script],
        input=FORWARDING,
        capture_output=True,
        text=True,
        check=True,
    )
    before, up, late, mended, flushed, again, down = json.loads(done.stdout)
    assert 'iifname "muabcdef01" accept comment "muster_abcdef01"' in up[0] and up[1] == []
    assert up[0].count('comment "muster_abcdef01"') == 3, "twice up is once"
    assert late[1] == ["ip late passing drops packets of 10.77.9.0/24"]
    assert mended[1] == [] and mended[0].count('comment "muster_abcdef01"') == 6
    assert flushed[1] == ["the rules of 10.77.9.0/24 are gone"]
    assert again[1] == []
    assert "inet early passing drops packets of 10.77.9.0/24" in before[1]
    assert down == ["", "0"], "forwarding is as it was"


def test_two_clones_open_one_store_at_once(cluster: ClusterIdentity) -> None:
    name = f"{MARK}{secrets.token_hex(3)}"
    others = [ClusterIdentity(f"{MARK}other", secrets.token_hex(4)) for _ in range(2)]
    body: Callable[[ClusterIdentity], dict[str, object]] = lambda identity: {  # noqa: E731
        "store": name, "cluster_id": identity.id, "public_key": "ssh-ed25519 " + "A" * 68, "image": "",
        "user_data": USER_DATA, "group": group_request(GROUP), "inherit": {},
    }  # fmt: skip
    command = [*client.direct(), "store-open"]
    try:
        running = [
            subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            for _ in others
        ]
        for process, identity in zip(running, others, strict=True):
            assert process.stdin
            process.stdin.write(json.dumps(body(identity)))
            process.stdin.close()
        answers = []
        for process in running:
            with process:
                assert process.stdout
                answers.append(json.loads(process.stdout.read())["ok"])
        assert sorted(answer["started"] for answer in answers) == [False, True]
        assert len({(answer["address"], answer["secret_key"], answer["host_key"]) for answer in answers}) == 1
    finally:
        for identity in others:
            stores.store_close(name, identity)
        stores.store_remove(name)
