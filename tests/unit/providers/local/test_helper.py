"""The helper's pure parts: what it admits, where it puts things, what it remembers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from provision.providers.local.helper import (
    bootstrap,
    capacity,
    cgroups,
    checks,
    disks,
    idmap,
    images,
    machines,
    main,
    network,
    nodes,
    registry,
    rootfs,
    shapes,
    validate,
)
from provision.providers.local.helper.errors import HelperError
from provision.providers.local.helper.registry import Network, Node, Registry, Store

CLUSTER = "0a1b2c3d"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for module in (registry, nodes, capacity):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(images, "IMAGES", tmp_path / "images")
    return tmp_path


@pytest.fixture
def recording(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Everything of `create` up to the first side effect works without a real machine."""
    monkeypatch.setattr(network, "host_networks", lambda: [IPv4Network("192.168.1.0/24")])
    monkeypatch.setattr(capacity, "total_memory_mb", lambda: 16 * 1024)
    monkeypatch.setattr(capacity, "require_disk", lambda count, what: None)
    monkeypatch.setattr(images, "lower", lambda key: [key or "base-1"])
    return root


def node(name: str = "retina-worker-1", cluster: str = CLUSTER, **changes: Any) -> Node:
    values: dict[str, Any] = {
        "name": name, "group": "worker", "cluster_id": cluster, "unit": "0123456789", "token": "t1",
        "address": "10.77.1.10", "cores": 2.0, "memory_mb": 2048, "disk_gb": 10, "image": "",
        "lower": ["base-1"], "created": 1.0, "owner": 0,
    }  # fmt: skip
    return Node(**(values | changes))


def request(**changes: Any) -> dict[str, Any]:
    group = {"name": "worker", "cores": 2, "memory_gb": 2, "data_disk_gb": 10}
    return {
        "cluster": "retina", "cluster_id": CLUSTER, "group": group,
        "names": ["retina-worker-1", "retina-worker-2"], "token": "t1",
        "user_data": "#cloud-config\n", "image": "", "labels": {},
    } | changes  # fmt: skip


# --- validation


@pytest.mark.parametrize(
    "bad", ["", "A", "1a", "a/b", "..", "a b", "a\n", "a.b", "-a", "a-", "a" * 42, None, 3, "ä"]
)
def test_names_that_could_lead_anywhere_are_refused(bad: object) -> None:
    with pytest.raises(HelperError) as caught:
        validate.name(bad)
    assert caught.value.kind == "refused"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("good", ["a", "retina-worker-1", "a" * 41])
def test_good_names(good: str) -> None:
    assert validate.name(good) == good


@pytest.mark.parametrize("bad", ["", "0a1b2c3", "0a1b2c3d4", "0A1B2C3D", "../../etc", None])
def test_ids(bad: object) -> None:
    with pytest.raises(HelperError):
        validate.hex_id(bad)


@pytest.mark.parametrize("bad", ["..", ".tmp-1", "a/b", "", "x" * 81, None])
def test_tokens_and_image_keys_are_one_path_component(bad: object) -> None:
    with pytest.raises(HelperError):
        validate.token(bad)


@pytest.mark.parametrize("bad", ["10.0.0.0/16", "10.0.0.1/24", "8.8.8.0/24", "172.32.0.0/24", "nonsense", 5])
def test_subnets(bad: object) -> None:
    with pytest.raises(HelperError):
        validate.subnet(bad)
    for good in ("10.77.5.0/24", "192.168.77.0/24", "172.16.3.0/24"):
        assert validate.subnet(good) == good


@pytest.mark.parametrize("bad", [True, "3", None, float("nan"), -1, 1e9])
def test_numbers(bad: object) -> None:
    with pytest.raises(HelperError):
        validate.number(bad, "cores", 0.1, 64)


@pytest.mark.parametrize(
    "bad", ["", "ssh-ed25519 short", "ssh-ed25519 AAAA\nssh-rsa BBBB", 'command="sh" ssh-ed25519 ' + "A" * 40]
)
def test_public_keys(bad: object) -> None:
    with pytest.raises(HelperError):
        validate.public_key(bad)


@pytest.mark.parametrize("raw", ["", "[]", "nonsense", '{"names": ["../x"]}'])
def test_whatever_it_is_told_the_helper_answers_in_one_line(
    raw: str, monkeypatch: pytest.MonkeyPatch, root: Path
) -> None:
    monkeypatch.setattr("provision.providers.local.helper.checks.prepare_root", lambda: None)
    answer = main.answer("create", raw)
    assert answer["kind"] == "refused"
    assert "\n" not in answer["error"]
    assert main.answer("rm -rf /", "{}")["kind"] == "refused"


# --- subnets and addresses


def test_the_first_free_subnet_is_chosen() -> None:
    assert network.choose([]) == "10.77.1.0/24"
    taken = [IPv4Network("10.77.1.0/24"), IPv4Network("10.77.2.128/25")]
    assert network.choose(taken) == "10.77.3.0/24"


def test_a_wished_subnet_in_use_is_refused_by_name() -> None:
    with pytest.raises(HelperError, match=r"10\.9\.0\.0/24 is in use .*10\.9\.0\.0/16"):
        network.choose([IPv4Network("10.9.0.0/16")], "10.9.0.0/24")
    assert network.choose([IPv4Network("10.8.0.0/16")], "10.9.0.0/24") == "10.9.0.0/24"


def test_no_subnet_left() -> None:
    with pytest.raises(HelperError, match="no free /24"):
        network.choose([network.POOL])


def test_addresses_go_round_so_that_a_freed_one_is_not_given_at_once() -> None:
    state = Registry()
    net = Network(CLUSTER, "retina", "10.77.1.0/24", 0)
    first = nodes.next_address(state, net)
    assert (first, nodes.next_address(state, net)) == ("10.77.1.10", "10.77.1.11")
    net.next_host = 250
    state.nodes["x"] = node(address="10.77.1.10")
    assert nodes.next_address(state, net) == "10.77.1.11"


def test_interface_names_fit_the_kernel() -> None:
    assert len(f"vb-{node().machine}") <= 15
    assert len(Network(CLUSTER, "x", "10.77.1.0/24", 0).bridge) <= 15


# --- memory


def test_memory_counts_all_clusters_but_neither_dying_machines_nor_resting_stores() -> None:
    state = Registry()
    state.nodes = {
        "a": node("a", memory_mb=4096),
        "b": node("b", memory_mb=4096, deleting=True),
        "c": node("c", "ffffffff", memory_mb=4096),
    }
    state.stores["s"] = Store("s", "ffffffff", 0, 1.0)
    capacity.require_memory(state, [capacity.Wish(1, 3072)], 8192)
    state.stores["s"].clusters[CLUSTER] = "key"
    with pytest.raises(HelperError, match="0 more fit") as caught:
        capacity.require_memory(state, [capacity.Wish(1, 3072)], 8192)
    assert caught.value.kind == "not_ready"


def test_too_many_nodes_says_how_many_fit() -> None:
    with pytest.raises(HelperError, match=r"1000 more nodes need 2001\.0 GiB .* 4 more fit"):
        capacity.require_memory(
            Registry(), [capacity.Wish(1, 3072), capacity.Wish(999, 2048)], 10 * 1024 + 500
        )


def test_a_machine_that_is_off_gets_other_limits(recording: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running: set[int] = set()
    monkeypatch.setattr(cgroups, "processes", lambda unit: running)
    with registry.changing() as state:
        state.nodes["retina-worker-1.0a1b2c3d"] = node(labels={"cores": "2", "memory_gb": "2", "wish": "3"})
    asked = {
        "cluster_id": CLUSTER, "names": ["retina-worker-1"], "size": {"cores": 4, "memory_gb": 8},
        "labels": {"cores": "4", "memory_gb": "8"},
    }  # fmt: skip
    for _ in range(2):
        shapes.reshape(asked)
        (found,) = registry.load().nodes.values()
        assert (found.cores, found.memory_mb, found.disk_gb) == (4.0, 8192, 10)
        assert found.labels == {"cores": "4", "memory_gb": "8", "wish": "3"}
    with pytest.raises(
        HelperError, match=r"24\.0 GiB of memory more; this computer has 7\.0 of 16\.0 GiB left"
    ):
        shapes.reshape(asked | {"size": {"cores": 4, "memory_gb": 32}})
    running.add(7)
    with pytest.raises(HelperError, match="retina-worker-1 must be off"):
        shapes.reshape(asked)
    monkeypatch.setattr(registry, "caller", lambda: 1000)
    with pytest.raises(HelperError, match="belongs to user 0"):
        shapes.reshape(asked)


def test_memory_keeps_room_for_a_store_that_does_not_run_yet(
    recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("require_tools", "require_mount", "require_user_namespaces"):
        monkeypatch.setattr(capacity, name, lambda: None)
    monkeypatch.setattr(checks, "prepare_root", lambda: None)
    group = {"name": "worker", "cores": 2, "memory_gb": 5, "data_disk_gb": 10, "count": 3}
    wish = {"cluster": "retina", "groups": [group], "store": {"name": "default", "memory_gb": 1.5}}
    with pytest.raises(HelperError, match=r"object store takes 1\.5 GiB: 2 more fit"):
        checks.ready(wish)
    checks.ready(wish | {"store": {}})
    with registry.changing() as state:
        state.stores["default"] = Store("default", "ffffffff", 0, 1.0, clusters={CLUSTER: "key"})
        state.nodes["s"] = node("object-store", "ffffffff", memory_mb=0)
    checks.ready(wish)


def test_a_disk_that_is_almost_full_is_seen_before_anything_is_written(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disks, "ROOT", root)
    monkeypatch.setattr(disks.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 7, 3 * 1024**3))
    disks.require_space(1024**3, "3 nodes")
    with pytest.raises(HelperError, match="3 nodes: 1.0 GiB are needed and 2 GiB must stay free"):
        disks.require_space(1024**3 + 1, "3 nodes")


# --- registry and idempotency


def test_the_registry_survives_a_round_trip(root: Path) -> None:
    with registry.changing() as state:
        state.networks[CLUSTER] = Network(CLUSTER, "retina", "10.77.1.0/24", 1000)
        state.nodes[node().key] = node(labels={"a": "b"})
        state.stores["default"] = Store("default", "ffffffff", 0, 2.0, {CLUSTER: "ssh-ed25519 AAAA"})
    assert registry.load().nodes[node().key] == node(labels={"a": "b"})
    assert registry.load().stores["default"].clusters == {CLUSTER: "ssh-ed25519 AAAA"}
    assert not list(root.glob(".*.new"))


def test_the_next_machine_of_a_name_is_another_one(root: Path) -> None:
    """What was kept of the one before, a host key above all, is not taken for the next one's."""

    def made(unit: str) -> str:
        with registry.changing() as state:
            state.nodes[node().key] = node(unit=unit)
        (found,) = machines.of_cluster({"cluster_id": CLUSTER})
        return str(found["provider_id"])

    first, second = made("0123456789"), made("9876543210")
    assert first != second
    for provider_id, value in ((second, "new"), (first, "old")):
        machines.label({"cluster_id": CLUSTER, "labels": {provider_id: {"host_key": value}}})
    assert registry.load().nodes[node().key].labels == {"host_key": "new"}


def test_a_failed_change_changes_nothing(root: Path) -> None:
    with pytest.raises(RuntimeError), registry.changing() as state:  # noqa: PT012
        state.nodes[node().key] = node()
        raise RuntimeError
    assert registry.load().nodes == {}


def test_a_registry_of_a_newer_version_is_left_alone(root: Path) -> None:
    (root / "registry.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(HelperError, match="format 99"):
        registry.load()


def test_somebody_elses_cluster_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "caller", lambda: 1000)
    registry.authorize(1000, "cluster retina")
    with pytest.raises(HelperError, match="belongs to user 1001"):
        registry.authorize(1001, "cluster retina")


def test_the_same_token_twice_gives_the_same_machines(recording: Path) -> None:
    state = Registry()
    first = nodes._record(state, request(), CLUSTER, ["retina-worker-1", "retina-worker-2"])
    again = nodes._record(state, request(), CLUSTER, ["retina-worker-1", "retina-worker-2"])
    assert first == again
    assert len(state.nodes) == 2


def test_another_token_never_takes_over_a_machine(recording: Path) -> None:
    state = Registry()
    nodes._record(state, request(), CLUSTER, ["retina-worker-1"])
    with pytest.raises(HelperError, match="exists already") as caught:
        nodes._record(state, request(token="t2"), CLUSTER, ["retina-worker-1"])
    assert caught.value.kind == "exists"


def test_a_machine_being_deleted_is_not_handed_out(recording: Path) -> None:
    state = Registry()
    nodes._record(state, request(), CLUSTER, ["retina-worker-1"])[0].deleting = True
    with pytest.raises(HelperError, match="is being deleted"):
        nodes._record(state, request(), CLUSTER, ["retina-worker-1"])


def test_two_clusters_get_two_subnets(recording: Path) -> None:
    state = Registry()
    nodes._record(state, request(), CLUSTER, ["retina-worker-1"])
    nodes._record(state, request(cluster="other", cluster_id="ffffffff"), "ffffffff", ["other-worker-1"])
    assert len({net.subnet for net in state.networks.values()}) == 2


# --- images


def make_image(root: Path, key: str, *, base: str = "", created: float = 1.0, recipe: str = "") -> None:
    image = images.Image(key, "layer" if base else "base", base, created, 1, 0, recipe)
    folder = root / "images" / key
    (folder / "root").mkdir(parents=True)
    (folder / "meta.json").write_text(json.dumps(image.__dict__))


def test_layers_lie_on_the_base_they_were_made_on(root: Path) -> None:
    make_image(root, "base-1", created=1)
    make_image(root, "base-2", created=2, recipe=bootstrap.recipe())
    make_image(root, "base-3", created=3, recipe="of another version")
    make_image(root, "abcd", base="base-1")
    make_image(root, "over", base="abcd")
    assert images.lower("abcd") == ["abcd", "base-1"]
    assert images.lower("over") == ["over", "abcd", "base-1"]
    assert images.lower("") == ["base-2"]


def test_unfinished_images_do_not_exist(root: Path) -> None:
    make_image(root, ".tmp-1-base")
    (root / "images" / "half").mkdir()
    assert images.known() == []
    for key in ("", "half", "abcd"):
        with pytest.raises(HelperError) as caught:
            images.lower(key)
        assert caught.value.kind == "no_image"


def test_what_is_used_is_not_removed(root: Path) -> None:
    make_image(root, "base-1")
    make_image(root, "abcd", base="base-1")
    make_image(root, "free", base="base-1")
    with registry.changing() as state:
        state.networks[CLUSTER] = Network(CLUSTER, "retina", "10.77.1.0/24", 0)
        state.nodes["x"] = node(lower=["abcd", "base-1"])
    with pytest.raises(HelperError, match="retina/retina-worker-1"):
        images.remove({"keys": ["abcd"]})
    assert images.remove({"prune": True}) == ["free"]
    assert {image.id for image in images.known()} == {"base-1", "abcd"}


def test_an_old_base_is_kept_when_it_cannot_be_renewed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_image(root, "base-1", recipe=bootstrap.recipe())

    def offline() -> images.Image:
        raise HelperError("the base image could not be built: could not resolve")

    monkeypatch.setattr(images, "_build_base", offline)
    assert images.base({})["id"] == "base-1"
    images.remove({"keys": ["base-1"]})
    with pytest.raises(HelperError, match="could not resolve"):
        images.base({})


def test_the_reason_of_a_failed_build_is_one_useful_line() -> None:
    output = (
        "I: running apt-get update...\nErr:1 http://mirror trixie InRelease\n  Could not resolve 'mirror'\n"
        "E: Failed to fetch http://mirror/InRelease  Could not resolve 'mirror'\n"
        "E: mmdebstrap failed to run\n"
    )
    assert bootstrap.failure(output).startswith("Failed to fetch http://mirror/InRelease")
    assert bootstrap.is_network(output)
    assert not bootstrap.is_network("E: unknown suite")


# --- first-boot files


def test_settings_on_loopback_are_seen_on_the_bridge_from_nodes() -> None:
    net = Network(CLUSTER, "retina", "10.77.1.0/24", 0)
    for value in ("http://127.0.0.1:3142/", "http://localhost:3142/", "http://user:pw@127.0.0.1:3142/"):
        assert "10.77.1.1:3142" in rootfs.reachable(value, net)
    assert rootfs.reachable("http://proxy.example:3128", net) == "http://proxy.example:3128"


def test_settings_cannot_smuggle_in_others() -> None:
    net = Network(CLUSTER, "retina", "10.77.1.0/24", 0)
    found = rootfs.settings({"index-url": "https://a\n[other]", "unknown": "x"}, rootfs.PIP_KEYS, net)
    assert found == {"index-url": "https://a [other]"}
    with pytest.raises(HelperError):
        rootfs.settings({"index-url": 'a"b'}, rootfs.PIP_KEYS, net)


def test_files_are_never_written_through_a_link_out_of_the_root(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "etc").symlink_to(outside)
    with pytest.raises(HelperError, match="is no folder"):
        rootfs.put(tmp_path / "root", "etc/hostname", "x")
    assert not list(outside.iterdir())
    (tmp_path / "root" / "file").symlink_to(outside / "victim")
    rootfs.put(tmp_path / "root", "file", "x")
    assert not (outside / "victim").exists()


def test_files_of_a_node_are_read_only_where_they_are_usual_files(tmp_path: Path) -> None:
    outside = tmp_path / "secret"
    outside.write_text("secret")
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc" / "link").symlink_to(outside)
    os.mkfifo(root / "etc" / "pipe")
    (root / "etc" / "large").write_text("123456")
    for name in ("etc/link", "etc/pipe", "etc/large", "etc/none"):
        with pytest.raises(HelperError):
            rootfs.read(root, name, limit=5)
    (root / "etc" / "file").write_text("12345")
    assert rootfs.read(root, "etc/file", limit=5) == b"12345"


def test_only_the_ports_of_inherited_settings_on_this_computer_are_open_for_nodes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rootfs, "apt_proxy", lambda: 'Acquire::http::proxy "http://127.0.0.1:3142";\n')
    inherit = {
        "pip": {"index-url": "https://me:pw@localhost:8443/simple", "proxy": "http://elsewhere.example:99"},
        "proxy": {"http_proxy": "http://127.0.0.1:3128"},
    }
    assert rootfs.ports_here(inherit) == [3128, 3142, 8443]
    net = Network(CLUSTER, "retina", "10.77.1.0/24", 0, host_ports=[3128])
    assert "th dport != { 53, 3128 } drop" in network._table(net, None)
    assert "chain clients" not in network._table(net, None)


def test_only_clusters_that_are_attached_reach_a_store() -> None:
    net = Network("ffffffff", "store-default", "10.77.9.0/24", 0)
    assert 'oifname "muffffffff" ct state new drop' in network._table(net, [])
    asked = network._table(net, ["192.168.77.0/24", "10.77.1.0/24"])
    assert "ip saddr != { 10.77.1.0/24, 192.168.77.0/24 } drop" in asked
    state = Registry()
    state.networks = {"ffffffff": net, CLUSTER: Network(CLUSTER, "retina", "10.77.1.0/24", 0)}
    state.stores["s"] = Store("s", "ffffffff", 0, 1.0, clusters={CLUSTER: "key", "gone0000": "key"})
    assert state.clients("ffffffff") == ["10.77.1.0/24"]
    assert state.clients(CLUSTER) is None
    assert state.stores_of(CLUSTER) == [net]


# --- user ids of nodes


def test_ranges_of_ids_are_nobody_elses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    first = idmap.choose("0000000000", [])
    assert first == idmap.FIRST
    second = idmap.choose("0000000000", [first])
    assert second == first + idmap.COUNT
    given = tmp_path / "subuid"
    given.write_text(f"alice:{second + 5}:65536\nbroken\n")
    monkeypatch.setattr(idmap, "SUBORDINATE", (given, tmp_path / "none"))
    assert idmap.choose("0000000000", [first]) == first + 3 * idmap.COUNT
    assert {idmap.choose(f"{n:010x}", []) % idmap.COUNT for n in (1, 77, 2**39)} == {0}


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
def test_an_idmapped_mount_adds_the_first_id_and_takes_it_off_again(tmp_path: Path) -> None:
    source, shown = tmp_path / "source", tmp_path / "shown"
    source.mkdir()
    shown.mkdir()
    (source / "file").write_text("x")
    idmap.bind(source, shown, 1_000_000_000)
    try:
        assert (shown / "file").stat().st_uid == 1_000_000_000
        with pytest.raises(OSError, match="too large"):
            (shown / "by-root").write_text("this computer's root is nobody there")
        idmap.as_root_of(1_000_000_000, lambda: (shown / "by-node").write_text("y"))
        assert (source / "by-node").stat().st_uid == 0
        (tmp_path / "after").write_text("this thread kept its own ids")
        assert (tmp_path / "after").stat().st_uid == 0
    finally:
        subprocess.run(["umount", shown], check=True)


# --- images


def image(root: Path, identity: str, **changes: Any) -> images.Image:
    values: dict[str, Any] = {
        "id": identity, "kind": "layer", "base": "", "created": 1.0, "size": 1, "owner": 0, "key": "recipe",
    } | changes  # fmt: skip
    (root / "images" / identity / "root").mkdir(parents=True)
    (root / "images" / identity / "meta.json").write_text(json.dumps(values))
    return images.Image(**values)


def test_a_layer_serves_whom_it_was_made_by_and_roots_serve_everybody(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "caller", lambda: 1234)
    image(root, "recipe.9", owner=5678, created=9.0)
    assert images.find("recipe") is None, "somebody else's, made under a key that anybody can work out"
    with pytest.raises(HelperError, match="belongs to user 5678"):
        images.remove({"keys": ["recipe"]})
    image(root, "recipe.2", owner=0, created=2.0)
    image(root, "recipe.3", owner=1234, created=3.0)
    assert images.lower("recipe") == ["recipe.3"]
    assert {one["id"] for one in images.listing({}) if one["usable"]} == {"recipe.2", "recipe.3"}
    assert images.remove({"keys": ["recipe"]}) == ["recipe"]
    assert images.lower("recipe") == ["recipe.2"]


# --- processes


def test_a_node_has_processes_by_its_memory() -> None:
    assert cgroups.processes_of(2048) == 4096
    assert cgroups.processes_of(256) == 1024
