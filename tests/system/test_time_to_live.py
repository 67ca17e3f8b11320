"""How clusters end: by their deadline, when nobody uses them, by stop; and that they come back with their data."""

from __future__ import annotations

import time

import pytest

from provision.providers.local import client
from tests.system.deadlines import arm, state_of
from tests.system.lab import eventually

HOUR = 3600


def told(lab, name: str) -> int:
    return int(lab.ssh(name, "cat /etc/muster/deadline", user="muster").ok().answer)


def label(lab, name: str) -> int:
    return int(lab.machines()[name]["labels"]["deadline"])


@pytest.mark.long
def test_a_deadline_from_the_first_boot_to_reap(small, leftovers):
    """One small machine: told at its boot, extended, stopped, started, ended by itself, reaped."""
    lab = small
    with leftovers(lab):
        lab.write(ttl="8h")
        lab.playbook("start_cluster.yml").ok()
        first = told(lab, lab.master)
        assert abs(first - time.time() - 8 * HOUR) < 120
        assert first == label(lab, lab.master) == lab.status()["deadline"]
        said = lab.muster("extend", "4h").ok().output
        assert "power off; they stay, and cost nothing, until destroy or reap" in said
        moved = first + 4 * HOUR
        assert moved == told(lab, lab.master) == label(lab, lab.master) == lab.status()["deadline"]

        lab.playbook("stop_cluster.yml").ok()
        lab.playbook("main.yml").refused(f"{lab.name}: the cluster is stopped. Run start_cluster.yml")
        lab.muster("extend", "1h").refused("none of its machines runs")
        lab.playbook("start_cluster.yml").ok()
        again = told(lab, lab.master)
        assert abs(again - time.time() - 8 * HOUR) < 120, "a cluster that was stopped begins anew"
        assert again == label(lab, lab.master)
        assert lab.playbook("start_cluster.yml").ok().changed == 0

        assert lab.muster("reap", lab.name, "--json").ok().json() == []
        arm(lab, lab.master, 3)
        eventually(lambda: state_of(lab, lab.master) == "stopped", 30, "powered off")
        over = lab.state_dir / "journal.jsonl"  # the machine's own end came early; the label's comes now
        relabel(lab, int(time.time()) - 1)
        shown = lab.muster("reap", lab.name, "--dry-run", "--json").ok().json()
        assert [(each["cluster"], each["deleted"]) for each in shown] == [(lab.name, False)]
        lab.muster("reap", lab.name).refused("no terminal to ask on. Say --yes")
        (reaped,) = lab.muster("reap", lab.name, "--yes", "--json").ok().json()
        assert (reaped["machines"], reaped["deleted"]) == ([lab.master], True)
        assert lab.machines() == {}
        assert not over.exists()


def relabel(lab, deadline: int) -> None:
    """Write another deadline into the labels of a lab's machines, as the provider keeps them."""
    nodes = lab.machines().values()
    (cluster_id,) = {node["cluster_id"] for node in nodes}
    keys = [f"{node['name']}.{cluster_id}" for node in nodes]
    client.call(
        "label", {"cluster_id": cluster_id, "labels": {key: {"deadline": str(deadline)} for key in keys}}
    )
