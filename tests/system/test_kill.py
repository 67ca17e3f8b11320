"""kill -9 of start_cluster.yml and destroy_cluster.yml, then the same again: right state, nothing left."""

from __future__ import annotations

import json
import time

import pytest

from tests.system.lab import eventually

# Moments of a start, as conditions on what can be seen from outside.
START = {
    "intent": lambda lab, run: journal(lab, '"open"'),
    "machine asked for": lambda lab, run: bool(lab.machines()),
    "node boots": lambda lab, run: any(node_folder(lab, "prepared")),
    "answer recorded": lambda lab, run: journal(lab, '"done"'),
    "key pinned": lambda lab, run: journal(lab, '"pin"'),
    "playing": lambda lab, run: run.said("Write hosts file"),
}
DESTROY = {
    "asked": lambda lab, run: journal(lab, '"destroy"') or journal(lab, '"delete"'),
    "first machine gone": lambda lab, run: len(lab.machines()) < lab.nodes,
    "all machines gone": lambda lab, run: not lab.machines(),
}
USUAL_START = [("intent", True), ("node boots", False)]
USUAL_DESTROY = [("asked", True)]


def journal(lab, text: str) -> bool:
    path = lab.state_dir / "journal.jsonl"
    try:
        return text in path.read_text()
    except FileNotFoundError:
        return False


def node_folder(lab, file: str) -> list[bool]:
    from tests.system.leftovers import ROOT

    return [
        (ROOT / "nodes" / f"{name}.{node['cluster_id']}" / file).exists()
        for name, node in lab.machines().items()
    ]


@pytest.fixture
def pair(labs):
    """Two small nodes."""
    size = {"cores": 1, "memory_gb": 3, "data_disk_gb": 1}
    return labs(nodes=2, groups={"master": size, "worker": size})


def kill_when(lab, playbook: str, condition, *, group: bool) -> bool:
    run = lab.start(playbook)
    while run.process.poll() is None and not condition(lab, run):
        time.sleep(0.005)
    killed = run.process.poll() is None
    run.kill(group=group)
    return killed


def is_right(lab) -> None:
    """All machines are there, once, answer, and the next start finds nothing to do."""
    assert sorted(lab.machines()) == sorted(lab.names)
    for name in lab.names:
        assert lab.ssh(name, "hostname", user="muster").ok().answer.strip() == name
    hosts = lab.ssh(lab.master, "cat /etc/hosts", user="muster").answer
    assert all(f" {name}" in hosts for name in lab.names)
    opened, closed = set(), set()
    for line in (lab.state_dir / "journal.jsonl").read_text().splitlines():
        record = json.loads(line)
        {"open": opened, "close": closed}.get(record.get("kind"), set()).add(record.get("token"))
    assert opened == closed


def killed_start(lab, condition, *, group: bool) -> None:
    kill_when(lab, "start_cluster.yml", condition, group=group)
    lab.playbook("start_cluster.yml").ok()
    is_right(lab)
    assert lab.playbook("start_cluster.yml").ok().changed == 0


@pytest.mark.parametrize(("moment", "group"), USUAL_START)
def test_killed_start(pair, leftovers, moment, group):
    with leftovers(pair):
        killed_start(pair, START[moment], group=group)
        pair.destroy().ok()


@pytest.mark.parametrize(("moment", "group"), USUAL_DESTROY)
def test_killed_destroy(pair, leftovers, moment, group):
    with leftovers(pair):
        pair.playbook("start_cluster.yml").ok()
        kill_when(pair, "destroy_cluster.yml", DESTROY[moment], group=group)
        pair.destroy().ok()


def test_destroy_after_a_killed_start(pair, leftovers):
    """What a killed start has begun goes away too."""
    with leftovers(pair):
        kill_when(pair, "start_cluster.yml", START["node boots"], group=True)
        pair.destroy().ok()


@pytest.mark.long
@pytest.mark.parametrize("group", [True, False], ids=["group", "parent"])
@pytest.mark.parametrize("moment", START)
def test_killed_start_at_every_moment(pair, leftovers, moment, group):
    with leftovers(pair):
        killed_start(pair, START[moment], group=group)
        pair.destroy().ok()


@pytest.mark.long
@pytest.mark.parametrize("group", [True, False], ids=["group", "parent"])
@pytest.mark.parametrize("moment", DESTROY)
def test_killed_destroy_at_every_moment(pair, leftovers, moment, group):
    with leftovers(pair):
        pair.playbook("start_cluster.yml").ok()
        kill_when(pair, "destroy_cluster.yml", DESTROY[moment], group=group)
        pair.destroy().ok()


@pytest.mark.long
def test_start_killed_again_and_again(pair, leftovers):
    """Killed after 0.5 s, 1 s, 1.5 s … until one gets through."""
    with leftovers(pair):
        for tenths in range(5, 600, 5):
            begin = time.monotonic()
            late = begin + tenths / 10
            if not kill_when(
                pair,
                "start_cluster.yml",
                lambda lab, run, late=late: time.monotonic() > late,
                group=tenths % 2 == 0,
            ):
                break
        pair.playbook("start_cluster.yml").ok()
        is_right(pair)
        pair.destroy().ok()


@pytest.mark.long
def test_destroy_killed_again_and_again(pair, leftovers):
    with leftovers(pair):
        for tenths in range(3, 60, 2):
            pair.playbook("start_cluster.yml").ok()
            late = time.monotonic() + tenths / 10
            killed = kill_when(
                pair,
                "destroy_cluster.yml",
                lambda lab, run, late=late: time.monotonic() > late,
                group=tenths % 4 == 1,
            )
            if not killed:
                break
        pair.destroy().ok()


def test_a_living_owner_is_named(pair):
    """The next command does not wait for one that is alive."""
    first = pair.start("start_cluster.yml")
    try:
        eventually(lambda: journal(pair, '"cluster"') or first.process.poll() is not None, 60, "begun")
        pair.destroy().refused(rf"PID {first.process.pid}")
    finally:
        first.wait().ok()
