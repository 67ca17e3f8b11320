"""SoftLayer: its own command line sees in the account what `./muster list` says, and what either changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.fakes.softlayer import CONFIG, Account
from tests.strangers.programs import Shell

COLUMNS = "id,hostname,domain,datacenter,backend_ip,power_state,action"
STATES = {"Running": "running", "Halted": "stopped"}


@pytest.fixture
def config(account: Account) -> Path:
    """The config file of a cluster of three."""
    account.cluster(3).ensure()
    return account.folder / "retina.yml"


def slcli(shell: Shell, *words: object) -> Any:
    return shell.json("slcli", "--format", "json", *words)


def guests(shell: Shell) -> dict[str, dict[str, Any]]:
    """What `slcli` lists, by host name."""
    return {one["hostname"]: one for one in slcli(shell, "vs", "list", "--columns", COLUMNS)}


def states(shell: Shell) -> dict[str, str]:
    return {name: STATES[one["power_state"]] for name, one in guests(shell).items()}


def test_slcli_lists_the_machines_that_muster_lists(softlayer: Shell, account: Account, config: Path) -> None:
    told, nodes = guests(softlayer), account.cluster(3).view.nodes
    assert states(softlayer) == softlayer.listed(config)
    assert told.keys() == {node.name for node in nodes}
    for node in nodes:
        one = told[node.name]
        assert (str(one["id"]), one["backend_ip"]) == (node.machine.provider_id, node.address)
        assert one["datacenter"] in CONFIG["softlayer"]["datacenter"]
        assert one["action"] is None
    tagged = slcli(softlayer, "vs", "list", "--tag", "muster-cluster:retina")
    assert {one["hostname"] for one in tagged} == told.keys()
    assert slcli(softlayer, "sshkey", "list") == [], "keys are the machines', not the account's"


def test_a_machine_in_detail_is_what_was_ordered(softlayer: Shell, account: Account, config: Path) -> None:
    told = slcli(softlayer, "vs", "detail", "retina-worker-1")
    (node,) = [one for one in account.cluster(3).view.nodes if one.name == "retina-worker-1"]
    assert (str(told["id"]), told["private_ip"]) == (node.machine.provider_id, node.address)
    assert (told["cores"], told["memory"]) == (node.group.cores, node.group.memory_gb * 1024)
    assert (told["state"], told["billing"]) == ("RUNNING", "Hourly")
    assert [disk["Capacity"] for disk in told["drives"] if disk["Type"] == "System"] == ["25 GB", "100 GB"]


def test_muster_lists_what_slcli_has_changed(softlayer: Shell, config: Path) -> None:
    ids = {name: one["id"] for name, one in guests(softlayer).items()}
    softlayer.text("slcli", "--really", "vs", "power-off", ids["retina-worker-1"])
    softlayer.text("slcli", "--really", "vs", "cancel", ids["retina-worker-2"])
    assert softlayer.listed(config) == {"retina-master": "running", "retina-worker-1": "stopped"}
    softlayer.text("slcli", "--really", "vs", "power-on", ids["retina-worker-1"])
    assert (
        softlayer.listed(config)
        == states(softlayer)
        == dict.fromkeys(("retina-master", "retina-worker-1"), "running")
    )


def test_slcli_sees_what_muster_stops_and_nothing_of_what_it_deletes(
    softlayer: Shell, account: Account, config: Path
) -> None:
    account.cluster(3).stop()
    assert states(softlayer) == softlayer.listed(config) == dict.fromkeys(softlayer.listed(config), "stopped")
    account.cluster(3).destroy()
    assert guests(softlayer) == softlayer.listed(config) == {}
