"""Every cluster is found, whatever is unreachable or lost, and what all have cost is added up."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import pytest

from provision import cli
from provision.commands import invocation
from provision.core.errors import NotReady, ProviderError
from provision.core.model import Machine, NodeState, Price
from provision.core.spec import ClusterSpec
from provision.costs import ledger
from provision.fleet import overview, spent
from provision.providers.base import Provider
from provision.providers.facts import Deadlines, facts_of
from tests.fakes.provider import (
    FakeProvider,
    KilledError,
    World,
    cluster,
    group,
    make_disk_mortal,
    spec,
)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(facts_of("local"), "deadlines", Deadlines(boot=60, gone=0.0))
    return World(hourly=0.5)


def load(world: World):
    def one(name: str, config: ClusterSpec, _notes: Path) -> Provider:
        if name == "ec2":
            raise ProviderError(provider="ec2", what="no credentials", remedy="Run\naws configure")
        return FakeProvider(world, config)

    return one


def test_clusters_with_and_without_state(world: World, tmp_path: Path) -> None:
    here, lost = cluster(world, tmp_path / "a", 2), cluster(world, tmp_path / "b", 3)
    here.ensure()
    lost.ensure()
    lost_id = lost.view.identity.id
    shutil.rmtree(lost.state.folder)
    worker = next(
        m for m in world.machines.values() if m.labels["cluster"] == lost_id and m.group == "worker"
    )
    world.machines[worker.provider_id] = replace(
        worker, state=NodeState.STOPPED, labels={**worker.labels, "price_stopped": "0.1"}
    )
    found = overview.look([spec(), spec()], here.state.parent, load=load(world))
    by_id = {one.id: one for one in found.clusters}
    assert len(found.clusters) == 2 and not found.not_asked
    assert by_id[here.view.identity.id].here and by_id[here.view.identity.id].states == "2 running"
    assert not by_id[lost_id].here and by_id[lost_id].states == "2 running, 1 stopped"
    assert by_id[here.view.identity.id].hourly == 1.0
    assert by_id[lost_id].hourly == pytest.approx(1.1)


def test_who_cannot_be_asked_hides_nobody(world: World, tmp_path: Path) -> None:
    one = cluster(world, tmp_path, 1)
    one.ensure()
    mixed = replace(spec(), groups=(*spec().groups, group("gpu", 1, provider="ec2")))
    found = overview.look([mixed, spec()], one.state.parent, load=load(world))
    assert [cluster.cluster for cluster in found.clusters] == ["retina"]
    assert [str(account) for account in found.not_asked] == [
        "ec2 (retina.yml) was not asked: no credentials. Run aws configure"
    ]


def test_accounts_are_asked_at_the_same_time(world: World, tmp_path: Path) -> None:
    both = Barrier(2)

    class Waiting(FakeProvider):
        def everything(self) -> list[Machine]:
            both.wait(timeout=20)
            return super().everything()

    mixed = replace(spec(), groups=(*spec().groups, group("gpu", 1, provider="ec2")))
    found = overview.look([mixed], tmp_path, load=lambda _name, config, _notes: Waiting(world, config))
    assert not found.not_asked and not both.broken


def test_a_state_without_machines_is_shown(world: World, tmp_path: Path) -> None:
    one = cluster(world, tmp_path, 1)
    one.ensure()
    world.machines.clear()
    (found,) = overview.look([spec()], one.state.parent, load=load(world)).clusters
    assert (found.states, found.here, found.hourly) == ("none", True, 0.0)


def test_a_machine_that_does_not_say_its_price(world: World, tmp_path: Path) -> None:
    one = cluster(world, tmp_path, 1)
    one.ensure()
    (machine,) = world.machines.values()
    labels = {name: value for name, value in machine.labels.items() if name != "price"}
    world.machines[machine.provider_id] = replace(machine, labels=labels)
    (found,) = overview.look([spec()], one.state.parent, load=load(world)).clusters
    assert found.hourly is None


def test_a_broken_config_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "good.yml").write_text("plugin: cluster\ncluster: pond\n")
    (tmp_path / "bad.yml").write_text("plugin: cluster\ncluster: lake\nnods: 3\n")
    (tmp_path / "other.yml").write_text("a: b\n")
    specs, problems = overview.configs(sorted(tmp_path.glob("*.yml")))
    assert [found.name for found in specs] == ["pond"]
    assert len(problems) == 1 and "nods: unknown key" in problems[0]


def test_what_was_spent(world: World, tmp_path: Path) -> None:
    one = cluster(world, tmp_path, 2)
    one.ensure()
    began = min(record["at"] for record in one.state.journal.records())
    (now,) = spent.spent(one.state.parent, began + 3600)
    assert now.ended is None and now.hourly == 1.0
    assert now.tally.dollars == pytest.approx(1.0, abs=0.01)
    one.destroy()
    (gone,) = spent.spent(one.state.parent, began + 7200)
    assert gone.ended and gone.tally.machines == 2


def moments(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Destroy a paid cluster and kill that at every moment; yield the folders as the kills left them."""
    make_disk_mortal(monkeypatch, world.clock)
    append = ledger.append

    def mortal(folder: Path, entry: ledger.Entry) -> None:
        world.clock.tick("ledger: before")
        try:
            world.clock.tick("ledger: half")
        except KilledError:
            with (folder / ledger.FILE).open("ab") as stream:
                stream.write(b'{"clust')
            raise
        append(folder, entry)
        world.clock.tick("ledger: after")

    monkeypatch.setattr(ledger, "append", mortal)
    for moment in range(1, 300):
        root = tmp_path / str(moment)
        root.mkdir()
        world.clock.restart()
        cluster(world, root, 2).ensure()
        world.clock.restart(kill_at=moment)
        with suppress(KilledError):
            cluster(world, root, 2).destroy()
            assert moment > 16, "the kills covered next to nothing"
            return
        world.clock.restart()
        yield root


def test_no_kill_makes_a_destroyed_cluster_forgotten(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for root in moments(world, tmp_path, monkeypatch):
        cluster(world, root, 2).destroy()
        (entry,) = ledger.read(root / ".muster")
        assert entry.tally.machines == 2 and not entry.tally.unknown_hours
        assert not (root / ".muster" / "retina").exists()


def test_a_destroy_that_a_start_finishes_is_remembered(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for root in moments(world, tmp_path, monkeypatch):
        one = cluster(world, root, 2)
        one.ensure()
        costs = spent.spent(root / ".muster", 1e12)
        assert sum(cost.ended is None for cost in costs) == 1
        assert len({cost.id for cost in costs}) == len(costs) <= 2
        one.destroy()


def test_commands_on_a_computer_without_clusters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MUSTER_STATE", str(tmp_path / "state"))
    path = tmp_path / "pond.yml"
    path.write_text("plugin: cluster\ncluster: pond\nnodes: 2\n")
    monkeypatch.setattr(invocation, "PROJECT", tmp_path)  # no config file there names a cloud
    monkeypatch.setattr("provision.providers.local.provider.LocalProvider.everything", lambda _: [])
    monkeypatch.setattr("provision.providers.local.provider.LocalProvider.check_ready", lambda *_: [])
    assert cli.main(["-i", str(path), "plan", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert [line["create"] for line in plan["groups"]] == [["pond-master"], ["pond-worker-1"]]
    assert cli.main(["cost"]) == 0
    assert "No cluster has cost anything yet." in capsys.readouterr().out
    assert cli.main(["-i", str(path), "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["clusters"] == []
    assert cli.main(["-i", str(path), "access", "add", "katie", "ssh-ed25519", "K" * 68]) == 0
    assert "katie may log in, once the cluster is started" in capsys.readouterr().err
    assert cli.main(["-i", str(path), "access", "list"]) == 0
    assert "katie" in capsys.readouterr().out
    assert cli.main(["-i", str(path), "access", "remove", "bob"]) == 1
    assert "access: there is no 'bob'. There are: katie" in capsys.readouterr().err
    assert cli.main(["-i", str(path), "access", "remove", "katie"]) == 0
    assert path.read_text() == "plugin: cluster\ncluster: pond\nnodes: 2\n"
    assert cli.main(["adopt", "nowhere"]) == 1
    assert "no config file is for a cluster called nowhere" in capsys.readouterr().err


def test_plan_shows_what_it_refuses_and_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MUSTER_STATE", str(tmp_path / "state"))
    monkeypatch.setattr("provision.providers.local.provider.LocalProvider.paid", True)
    monkeypatch.setattr(
        "provision.providers.local.provider.LocalProvider.price", lambda *_: Price(0.5, "a fair price")
    )
    monkeypatch.setattr("provision.providers.local.provider.LocalProvider.check_ready", lambda *_: [])
    path = tmp_path / "pond.yml"
    path.write_text("plugin: cluster\ncluster: pond\nnodes: 3\nbudget: {max_hourly: 1}\n")
    for words in (["plan"], ["plan", "--json"]):
        assert cli.main(["-i", str(path), *words]) == 1
        said = capsys.readouterr()
        assert said.err == (
            "muster: pond: the cluster would cost $1.50 an hour, more than budget.max_hourly $1.00. "
            "Take fewer or smaller machines, or raise it\n"
        )
        assert "pond-worker-2" in said.out
    assert cli.main(["-i", str(path), "plan", "-n", "2"]) == 0
    assert "$1.00 an hour, $730.00 a month of 730 h" in capsys.readouterr().out


def test_plan_asks_for_all_that_a_start_asks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What could not be asked for is said; what a start would be refused for refuses the plan, after it is shown."""
    monkeypatch.setenv("MUSTER_STATE", str(tmp_path / "state"))
    path = tmp_path / "pond.yml"
    path.write_text("plugin: cluster\ncluster: pond\nnodes: 2\n")
    ready = "provision.providers.local.provider.LocalProvider.check_ready"
    monkeypatch.setattr(ready, lambda *_: ["local: not asked for the weather"])
    assert cli.main(["-i", str(path), "plan"]) == 0
    assert "local: not asked for the weather" in capsys.readouterr().out
    assert cli.main(["-i", str(path), "plan", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["not_asked"] == ["local: not asked for the weather"]

    def refuse(*_: object) -> list[str]:
        raise NotReady(what="no memory")

    monkeypatch.setattr(ready, refuse)
    assert cli.main(["-i", str(path), "plan"]) == 1
    said = capsys.readouterr()
    assert "pond-worker-1" in said.out and said.err == "muster: no memory\n"
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ("object_store: {kind: folder, path: /none}\n", "there is no such folder"),
        ("dataset: {source: none, name: eyes}\n", "there is no folder"),
    ],
)
def test_plan_asks_for_store_and_data_set(
    keys: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MUSTER_STATE", str(tmp_path / "state"))
    monkeypatch.setattr("provision.providers.local.provider.LocalProvider.check_ready", lambda *_: [])
    path = tmp_path / "pond.yml"
    path.write_text(f"plugin: cluster\ncluster: pond\nnodes: 2\n{keys}")
    assert cli.main(["-i", str(path), "plan"]) == 1
    said = capsys.readouterr()
    assert "pond-worker-1" in said.out and why in said.err


def test_plan_says_that_it_has_not_asked_a_store_whose_keys_stand_in_the_vault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MUSTER_STATE", str(tmp_path / "state"))
    monkeypatch.setattr("provision.providers.local.provider.LocalProvider.check_ready", lambda *_: [])
    path = tmp_path / "pond.yml"
    path.write_text("plugin: cluster\ncluster: pond\nobject_store: {kind: s3, container: eyes}\n")
    assert cli.main(["-i", str(path), "plan"]) == 0
    assert "object store: not asked for its container" in capsys.readouterr().out
