"""The whole journey at each emulated cloud; and how somebody else goes on with a cluster there."""

from __future__ import annotations

import random
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.system.clouds import Account, CloudLab, checks, move, store_elsewhere
from tests.system.lab import Lab

pytestmark = pytest.mark.long


def test_the_whole_journey(account: Account, small: Lab, tmp_path: Path) -> None:
    journey(account, small, tmp_path)


def test_the_whole_journey_from_the_official_image(bare_account: Account, small: Lab, tmp_path: Path) -> None:
    journey(bare_account, small, tmp_path)


def journey(account: Account, small: Lab, tmp_path: Path) -> None:
    """Three machines, data, a job, a fourth one, stopped, started at other addresses, proved, deleted."""
    with store_elsewhere(small, "s3") as (block, keys):
        lab = CloudLab(tmp_path / "lab", account, nodes=3, groups=account.groups, object_store=block)
        vault = lab.vault(keys)
        lab.up(16, *vault)
        run = lab.playbook("submit.yml", "-e", "JOB=logistic_regression", *vault).ok()
        assert "accuracy" in run.output
        lab.ssh(lab.master, "echo still here | hdfs dfs -put - kept").ok()

        lab.up(16, "-e", "NUM_NODES=4", *vault)
        lab.nodes = 4
        assert account.billing() == sorted(lab.names) and account.ordered() == 4

        stopped = lab.playbook("stop_cluster.yml", *vault).ok()
        assert "BILL ON" in stopped.output
        assert {node["state"] for node in lab.status()["nodes"]} == {"stopped"}
        old, local = lab.addresses(), account.local_names()
        prefix = old[lab.master].rpartition(".")[0]
        new = {lab.master: f"{prefix}.201", lab.worker(2): f"{prefix}.202"}
        move({local[name]: address for name, address in new.items()})
        lab.up(16, *vault)
        assert lab.addresses() == old | new and account.ordered() == 4
        assert lab.ssh(lab.master, "hdfs dfs -cat kept").ok().answer == "still here\n"
        lab.muster("verify").ok()
        found = {name: proof["found"] for name, proof in checks(lab).items()}
        assert found["DataNodes"] == found["Workers"] == "4" and "train_16 1,438 rows" in found["Data set"]

        lab.destroy().ok()
        lab.nothing_left()
        assert lab.told(*keys.values()) == []
        lab.drop_results()


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """Somebody's key pair."""
    path = tmp_path / "katie"
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "katie@home", "-f", path]
    subprocess.run(command, check=True)
    return path


def listed(lab: Lab) -> dict[str, Any]:
    found = lab.muster("list", "--json").ok().json()["clusters"]
    return next(cluster for cluster in found if cluster["cluster"] == lab.name)


def test_somebody_else_goes_on(account: Account, key: Path, tmp_path: Path) -> None:
    """The state is lost; found by its tags, adopted with another key, used, shared, deleted."""
    access = {"katie": key.with_suffix(".pub").read_text().strip()}
    first = CloudLab(tmp_path / "first", account, nodes=2, access=access)
    first.playbook("start_cluster.yml").ok()
    shutil.rmtree(first.state_dir)
    seen = listed(first)
    assert not seen["state_here"] and seen["machines"] == dict.fromkeys(first.names, "running")

    second = CloudLab(tmp_path / "second", account, nodes=2, access=access, name=first.name)
    second.muster("adopt", first.name, "--key", str(key)).ok()
    assert listed(second)["state_here"]
    assert second.playbook("start_cluster.yml").ok().changed == 0
    said = second.muster("run", "--json", "hostname").ok().json()
    assert {name: one["stdout"].strip() for name, one in said.items()} == {n: n for n in first.names}

    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "ben"], check=True)
    second.muster("access", "add", "ben", str(tmp_path / "ben.pub")).ok()
    lines = "sudo cat /etc/muster/authorized_keys/hadoop /etc/muster/authorized_keys/muster"
    public = (tmp_path / "ben.pub").read_text().split()[1]
    assert second.ssh(second.worker(1), lines, user="muster").ok().answer.count(public) == 2
    second.muster("access", "remove", "ben").ok()
    assert public not in second.ssh(second.worker(1), lines, user="muster").ok().answer

    second.destroy().ok()
    second.nothing_left()
    assert account.ordered() == 2
    assert key.is_file(), "the person's own key is not the cluster's to delete"


def test_killed_at_random_moments(account: Account, tmp_path: Path) -> None:
    """Five seeded lives, each command killed -9 somewhere: the same one again makes what was wished, once."""
    for seed in range(5):
        dice = random.Random(seed)  # noqa: S311  not for secrets
        lab = CloudLab(tmp_path / str(seed), account, nodes=2)
        for wish in (2, dice.choice([1, 3]), 0):
            size = ("-e", f"NUM_NODES={wish}", "-e", "SCALE_IN=true")
            words = ("start_cluster.yml", *size) if wish else ("destroy_cluster.yml",)
            end = time.monotonic() + dice.uniform(1, 9)
            lab.kill_after(lambda end=end: time.monotonic() > end, *words)
            lab.playbook(*words).ok()
            wanted = [lab.master, *(lab.worker(number) for number in range(1, wish))][:wish]
            assert account.billing() == sorted(wanted), (seed, wish)
        lab.nothing_left()


def test_reap_ends_what_has_no_cluster_any_more(account: Account, tmp_path: Path) -> None:
    lab = CloudLab(tmp_path / "lab", account, nodes=1)
    lab.playbook("start_cluster.yml").ok()
    assert lab.muster("reap", lab.name, "--json").ok().json() == []
    shutil.rmtree(lab.state_dir)
    (shown,) = lab.muster("reap", lab.name, "--dry-run", "--json").ok().json()
    assert (shown["machines"], shown["deleted"]) == ([lab.master], False)
    assert account.billing() == [lab.master]
    (reaped,) = lab.muster("reap", lab.name, "--yes", "--json").ok().json()
    assert reaped["deleted"]
    lab.nothing_left()
