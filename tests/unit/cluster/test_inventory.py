from __future__ import annotations

import json
import os
import pstats
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from provision.cluster import inventory
from provision.core.model import ClusterIdentity
from provision.core.paths import PROJECT
from provision.core.spec import ClusterSpec, ObjectStoreSpec
from provision.images.recipe import store_recipe
from provision.plugins.filter.sizing import muster_job_machines
from provision.ssh import files
from provision.state.folder import Snapshot, State, Store
from tests.fakes.provider import OWN, group, machine, spec

MACHINES = tuple(
    replace(machine(f"retina-{name}"), address=f"10.77.1.{number}", ssh_address=f"10.77.1.{number}")
    for number, name in enumerate(("worker-10", "worker-2", "master", "gpu-1"), start=10)
)
PLACE = inventory.Place(Path("/p/Bert's/retina"), Path("/h/100% ü/muster"), "/p")
STORE = Store("default", "10.77.9.10", OWN, image=store_recipe().key)


def composed(snapshot: Snapshot, wished: ClusterSpec | None = None) -> inventory.Inventory:
    return inventory.compose(wished or spec(gpu=1), ClusterIdentity("retina", "0123abcd"), snapshot, PLACE)


def test_groups() -> None:
    found = composed(Snapshot(MACHINES, STORE, complete=True))
    nodes = ["retina-master", "retina-worker-2", "retina-worker-10"]
    assert found.groups == {
        "master": nodes[:1],
        "worker": nodes[1:],
        "gpu": ["retina-gpu-1"],
        "cluster": [*nodes, "retina-gpu-1"],
        "namenode": nodes[:1],
        "datanode": nodes,
        "spark_master": nodes[:1],
        "spark_worker": nodes,
        "history_server": nodes[:1],
        "data_folder": ["retina-gpu-1"],
        "deep_learning": [*nodes, "retina-gpu-1"],
        "job_taker": [*nodes[1:], "retina-gpu-1"],
        "object_store": ["object-store"],
        "uninstalled": [*nodes, "retina-gpu-1"],  # booted from no image; the store was booted from one
        "tracking": [],
        "notebook": [],
        "launcher": [],
        "engines": [],
    }


def test_features_run_on_the_master_where_they_are_switched_on() -> None:
    found = composed(Snapshot(MACHINES), spec(gpu=1, features=("tracking",)))
    assert found.groups["tracking"] == ["retina-master"] and found.groups["notebook"] == []


@pytest.mark.parametrize(
    ("nodes", "there"), [(3, ["retina-worker-2", "retina-worker-10"]), (1, ["retina-master"])]
)
def test_engines_are_on_the_workers_and_on_a_master_that_is_alone(nodes: int, there: list[str]) -> None:
    machines = MACHINES[:3] if nodes > 1 else MACHINES[2:3]
    found = composed(Snapshot(machines), spec(nodes, features=("notebook",)))
    assert found.groups["engines"] == there
    assert found.groups["notebook"] == ["retina-master"]
    services = {node["name"]: node["services"] for node in found.variables["cluster_nodes"]}
    assert all("engines" in services[name] for name in there)


def test_host_variables() -> None:
    labels = {"cores": "4", "memory_gb": "6", "data_disk_gb": "0"}
    big = replace(MACHINES[2], labels=labels, image="abc")
    host = composed(Snapshot((big,))).hosts["retina-master"]
    assert host["ansible_host"] == host["node_address"] == "10.77.1.12"
    assert host["ansible_user"] == "muster"
    config, *options = shlex.split(host["ansible_ssh_common_args"])[1:]
    assert config == "/p/Bert's/retina/ssh_config"
    assert re.fullmatch(r'ControlPath="/h/100%% ü/muster/[0-9a-f]{8}-[0-9a-f]{12}-%r"', options[-1])
    # what it was made with, whatever the config says now
    assert (host["node_cores"], host["node_memory_gb"], host["node_data_device"]) == (4, 6.0, "")
    assert host["node_image"] == "abc"


def test_variables_without_a_cluster() -> None:
    found = composed(Snapshot())
    assert found.hosts == {}
    assert found.groups["cluster"] == []
    assert found.variables["cluster_nodes"] == []
    store = found.variables["cluster_object_store"]
    assert (store["kind"], store["name"], store["url"], store["container"]) == (
        "local",
        "default",
        "",
        "muster",
    )


def test_variables() -> None:
    found = composed(Snapshot(MACHINES, STORE)).variables
    assert found["cluster_nodes"][0] == {
        "name": "retina-master", "address": "10.77.1.12", "group": "master", "site": "local", "cores": 2, "memory_gb": 3.0,
        "gpus": 0, "hourly": None, "services": [], "way": "10.77.1.12", "closed": "",
    }  # fmt: skip
    assert found["cluster_object_store"]["url"] == "http://object-store:8080"
    assert found["cluster_wish"] == 3


def test_machines_at_another_provider_are_at_another_site() -> None:
    groups = tuple(group("gpu", 1, provider="existing") if g.name == "gpu" else g for g in spec(gpu=1).groups)
    mixed = replace(spec(gpu=1), groups=groups)
    found = composed(Snapshot(MACHINES), mixed)
    sites = {name: (host["node_site"], host["node_shared"]) for name, host in found.hosts.items()}
    assert sites["retina-gpu-1"] == ("existing", True)
    assert sites["retina-master"] == sites["retina-worker-2"] == ("local", False)
    assert {node["name"]: node["site"] for node in found.variables["cluster_nodes"]}[
        "retina-gpu-1"
    ] == "existing"


def test_a_group_at_another_provider_takes_runs_and_lets_the_master_in() -> None:
    """Where machines keep others out by themselves, the master is let in to those elsewhere, by its public address."""
    named = {one.name.removeprefix("retina-"): one for one in MACHINES}
    here = (
        replace(named["master"], public="198.51.100.4"),
        replace(named["worker-2"], public="198.51.100.5"),
        replace(named["gpu-1"], public="203.0.113.8", ssh_address="203.0.113.8"),
    )
    masters, theirs = (group(name, provider="ec2") for name in ("master", "worker"))
    groups = (replace(masters, count=1), theirs, group("gpu", 1, provider="softlayer"))
    mixed = replace(spec(2, gpu=1), groups=groups, object_store=ObjectStoreSpec(kind="s3"))
    found = composed(Snapshot(here), mixed)
    assert found.groups["job_taker"] == ["retina-worker-2", "retina-gpu-1"]
    assert found.variables["cluster_seen_as"] == ["198.51.100.4/32"]
    assert "198.51.100.4/32" in found.hosts["retina-gpu-1"]["node_allow"]
    assert "198.51.100.5" not in found.hosts["retina-gpu-1"]["node_allow"], (
        "its workers have no business there"
    )
    known = {node["name"]: node for node in found.variables["cluster_nodes"]}
    assert [known[name]["way"] for name in ("retina-worker-2", "retina-gpu-1")] == [
        "10.77.1.11",
        "203.0.113.8",
    ]
    machines = {one["name"]: one for one in muster_job_machines(known.values(), "ec2", {})}
    assert (machines["retina-gpu-1"]["address"], machines["retina-gpu-1"]["near"]) == ("203.0.113.8", False)
    assert {one["closed"] for one in machines.values()} == {""}


def test_a_master_without_a_public_address_opens_nothing() -> None:
    groups = (group("master", 1, provider="softlayer"), group("gpu", 1, provider="existing"))
    mixed = replace(spec(1), groups=groups, object_store=ObjectStoreSpec(kind="s3"))
    found = composed(Snapshot(MACHINES[2:]), mixed)
    assert found.variables["cluster_seen_as"] == []
    (closed,) = {node["closed"] for node in found.variables["cluster_nodes"] if node["group"] == "gpu"}
    assert closed.startswith("the master has no public address")


def test_a_store_elsewhere_as_nodes_see_it() -> None:
    for given, url, virtual in (
        (ObjectStoreSpec(kind="s3", region="eu-west-1"), "https://s3.eu-west-1.amazonaws.com", True),
        (ObjectStoreSpec(kind="s3", endpoint="https://s3.example.org"), "https://s3.example.org", False),
        (ObjectStoreSpec(kind="swift", endpoint="https://x/auth/v1.0"), "https://x/auth/v1.0", False),
    ):
        wished = replace(spec(), object_store=given)
        made = composed(Snapshot(), wished).variables["cluster_object_store"]
        assert (made["url"], made["virtual_host"], made["kind"]) == (url, virtual, given.kind)


def test_wish_from_the_state_or_from_num_nodes(tmp_path: Path) -> None:
    state = State(tmp_path / "retina")
    assert inventory.build(spec(3, given=False), state, root="/p").variables["cluster_wish"] == 3
    state.begin(ClusterIdentity("retina", "0123abcd"))
    state.journal.wish(5)
    assert inventory.build(spec(3, given=False), state, root="/p").variables["cluster_wish"] == 5
    assert inventory.build(spec(4, given=True), state, root="/p").variables["cluster_wish"] == 4


def test_ssh_files(tmp_path: Path) -> None:
    state = State(tmp_path / "with blank" / "retina")
    state.begin(ClusterIdentity("retina", "0123abcd"))
    for one in MACHINES[:2]:
        state.journal.pin(one.provider_id, OWN)
    state.save(Snapshot(MACHINES[:3], STORE))
    files.ssh_config(state)
    assert state.known_hosts.read_text().splitlines() == [
        f"{name} {OWN}" for name in ("retina-worker-10", "retina-worker-2", "object-store")
    ]
    shown = subprocess.run(
        ["ssh", "-G", "-F", state.ssh_config, "retina-worker-2"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for wanted in (
        "hostname 10.77.1.11", "user hadoop", "stricthostkeychecking true", "hostkeyalias retina-worker-2",
        "updatehostkeys false", "hostkeyalgorithms ssh-ed25519", f"userknownhostsfile {state.known_hosts}",
    ):  # fmt: skip
        assert wanted in shown
    store = subprocess.run(
        ["ssh", "-G", "-F", state.ssh_config, "object-store"], capture_output=True, text=True, check=True
    ).stdout
    assert "user muster\n" in store


def test_snapshot_survives_the_disk(tmp_path: Path) -> None:
    state = State(tmp_path / "retina")
    state.make_folder()
    snapshot = Snapshot(MACHINES, STORE, complete=True)
    state.save(snapshot)
    assert state.load() == snapshot


def test_every_checkout_and_person_logs_in(tmp_path: Path) -> None:
    state = State(tmp_path / "retina")
    state.begin(ClusterIdentity("retina", "0123abcd"))
    (state.folder / "id_ed25519.pub").write_text("ssh-ed25519 AAAAown muster-retina\n")
    wished = replace(spec(), access={"katie": "ssh-ed25519 AAAAkatie k@home"})
    found = inventory.build(wished, state, root="/p").variables["cluster_login_keys"]
    assert found == ["ssh-ed25519 AAAAown muster-retina", "ssh-ed25519 AAAAkatie access:katie"]


CALLS = 19_000_000
"""Of functions while `ansible-inventory` lists a thousand machines: 16.7 million on 2026-11-29, in 2 to 3.5 s of one core."""


def test_an_inventory_of_a_thousand_machines_stays_quick(tmp_path: Path) -> None:
    """Calls are counted, not seconds: those depend on the computer, and on what else it does."""
    file, state = tmp_path / "retina.yml", State(tmp_path / "state" / "retina")
    file.write_text(
        "plugin: cluster\ncluster: retina\nprovider: ec2\nnodes: 1000\n"
        "groups: {master: {instance_type: t3.medium}, worker: {instance_type: t3.small}}\n"
    )
    state.begin(ClusterIdentity("retina", "0123abcd"))
    names = ["retina-master", *(f"retina-worker-{number}" for number in range(1, 1000))]
    state.save(Snapshot(tuple(replace(machine(name), address="10.0.0.1") for name in names)))
    ansible, profile = str(Path(sys.executable).with_name("ansible-inventory")), tmp_path / "profile"
    told = subprocess.run(
        [
            sys.executable,
            "-m",
            "cProfile",
            "-o",
            str(profile),
            ansible,
            "-i",
            str(file),
            "--list",
            "--export",
        ],
        cwd=PROJECT,
        env=os.environ | {"MUSTER_STATE": str(state.parent)},
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    assert len(json.loads(told)["cluster"]["hosts"]) == 1000
    assert pstats.Stats(str(profile)).total_calls < CALLS  # type: ignore[attr-defined]
