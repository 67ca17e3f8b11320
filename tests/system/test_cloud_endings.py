"""Nobody's computer is on: machines of the clouds end by themselves at their deadline, and bill no more."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from provision.core.paths import PROJECT
from tests.emulators.softlayer.server import CANCEL_KEY, CANCELLER
from tests.system.clouds import CloudLab, Ec2Account, ec2_account, softlayer_account
from tests.system.lab import Started, eventually

pytestmark = pytest.mark.long
PROGRAM = """import json, os, pathlib, sys
rate = int(sys.argv[1].removeprefix("--rate="))
told = {"accuracy": rate / 10}
(pathlib.Path(os.environ["MUSTER_RESULTS"]) / "metrics.json").write_text(json.dumps(told))
"""


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


def test_machines_for_experiments_terminate_themselves_when_there_is_nothing_to_do(tmp_path: Path) -> None:
    """Ten minutes after the last run, with nobody's command going on; what they found is not lost."""
    with ec2_account(tmp_path / "ec2") as account:
        groups = {"master": {"instance_type": "t3.medium", "memory_gb": 3}, "experiment": Ec2Account.little}
        lab = CloudLab(tmp_path / "lab", account, nodes=1, groups=groups)
        lab.playbook("start_cluster.yml").ok()
        lab.playbook("main.yml", "-e", "IMAGE_SIZE=16").ok()
        (lab.folder / "train.py").write_text(PROGRAM)
        file = lab.folder / f"{lab.name}-list.yml"
        file.write_text("job: ./train.py\nruns: [{rate: 1}, {rate: 2}]\n")
        words = ["experiments", str(file), "--machines", "1", "--yes"]
        begun = Started(lab, [str(PROJECT / "muster"), "-i", str(lab.config), *words])
        diary = PROJECT / "results" / "experiments" / file.stem / "experiments.jsonl"

        def told() -> bool:
            return diary.exists() and '"finish"' in diary.read_text()

        eventually(lambda: begun.process.poll() is not None or told(), 600, "the first result")
        assert told(), begun.log.read_text()
        begun.kill(group=True)
        assert "they are deleted by themselves" in begun.log.read_text()
        assert lab.billing == sorted([lab.master, f"{lab.name}-experiment-1"])
        eventually(lambda: lab.billing == [lab.master], 900, "terminated")
        done = lab.muster(*words, timeout=1200).ok()
        assert "0.1" in done.answer and "0.2" in done.answer, done.report()
        assert lab.billing == [lab.master]
        shutil.rmtree(diary.parent)
        lab.drop_results()
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
