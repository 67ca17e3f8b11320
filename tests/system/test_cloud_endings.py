"""Nobody's computer is on: machines of the clouds end by themselves at their deadline, and bill no more."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.emulators.softlayer.server import CANCEL_KEY, CANCELLER
from tests.system.clouds import CloudLab, ec2_account, softlayer_account
from tests.system.lab import eventually

pytestmark = pytest.mark.long


def nobody_bills(lab: CloudLab, deadline: float) -> float:
    """Wait until no machine bills, without any command of Muster's; return seconds after the deadline."""
    assert lab.billing == sorted(lab.names) and time.time() < deadline, "they ended too early"
    eventually(lambda: not lab.billing, deadline - time.time() + 60, "without a bill")
    return time.time() - deadline


def test_instances_of_ec2_terminate_themselves(tmp_path: Path) -> None:
    with ec2_account(tmp_path / "ec2") as account:
        lab = CloudLab(tmp_path / "lab", account, nodes=2, ttl="2m")
        lab.playbook("start_cluster.yml").ok()
        assert "instances on ec2 terminate themselves" in lab.muster("status").ok().output
        assert nobody_bills(lab, lab.status()["deadline"]) < 30
        ended = {"terminated", "Client.InstanceInitiatedShutdown"}
        eventually(
            lambda: all(
                {one["state"], one["reason"]} == ended for one in account.emulator.books()["instances"]
            ),
            10,
            "terminated by themselves",
        )
        lab.destroy().ok()
        lab.nothing_left()


def test_the_master_cancels_the_guests_of_softlayer_if_the_user_lets_it(tmp_path: Path) -> None:
    """Its key may cancel and nothing else; before the user opts in they are told what bills on."""
    with softlayer_account(tmp_path / "softlayer") as account:
        lab = CloudLab(tmp_path / "lab", account, nodes=2, ttl="2m")
        lab.playbook("start_cluster.yml").ok()
        assert "BILL ON until `./muster reap` cancels them" in lab.muster("status").ok().output
        there = account.emulator.listen(lab.addresses()[lab.master].rpartition(".")[0] + ".1")
        vault = lab.vault(
            {
                "softlayer_cancel_username": CANCELLER,
                "softlayer_cancel_api_key": CANCEL_KEY,
                "softlayer_cancel_endpoint": there,
            }
        )
        lab.write(softlayer={**lab.keys["softlayer"], "self_cancel": True})
        lab.playbook("start_cluster.yml").refused("no softlayer_cancel_username.*vault.yml")
        lab.playbook("start_cluster.yml", *vault).ok()
        assert "machines on softlayer are cancelled by the master" in lab.muster("status").ok().output
        kept = "/etc/muster/last-calls.json"
        assert "Permission denied" in lab.ssh(lab.master, f"cat {kept}").output
        assert CANCEL_KEY not in lab.ssh(lab.worker(1), f"sudo cat {kept}", user="muster").ok().answer
        assert nobody_bills(lab, lab.status()["deadline"]) < 30
        lab.destroy().ok()
        lab.nothing_left()
        assert lab.told(CANCEL_KEY) == []


def test_without_that_the_guests_of_softlayer_bill_on_until_they_are_reaped(tmp_path: Path) -> None:
    with softlayer_account(tmp_path / "softlayer") as account:
        lab = CloudLab(tmp_path / "lab", account, nodes=1, ttl="1m")
        lab.playbook("start_cluster.yml").ok()
        eventually(lambda: not any(one.runs for one in account.emulator.machines.seen().values()), 90, "off")
        assert account.billing() == [lab.master]
        shown = lab.muster("reap", lab.name, "--dry-run").ok()
        assert "past its deadline" in shown.output
        (reaped,) = lab.muster("reap", lab.name, "--yes", "--json").ok().json()
        assert (reaped["machines"], reaped["deleted"]) == ([lab.master], True)
        lab.nothing_left()
