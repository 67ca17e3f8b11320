"""Who reaches SSH: asked before anything is made, recorded, told to machines and providers, and changed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provision.cluster import inventory, sources
from provision.cluster.cluster import Cluster
from provision.cluster.run import Run
from provision.cluster.sources import Change
from provision.core.errors import NotReady, Unreachable
from provision.core.model import ClusterIdentity, CreateRequest, Plan
from provision.core.networks import PRIVATE
from provision.core.spec import ClusterSpec, NodeGroup, ObjectStoreSpec
from provision.providers.base import Machines
from provision.providers.facts import facts_of
from provision.state.folder import State
from tests.fakes.provider import (
    FakeProvider,
    FakeReach,
    FakeStores,
    KilledError,
    SilentReporter,
    World,
    cluster,
    group,
    machine,
    spec,
)

OWN, OFFICE, HOME = "198.51.100.7/32", "203.0.113.0/24", "192.0.2.9/32"


class Guarded(FakeProvider):
    """A provider whose machines let in nobody but whom they are told; its name is softlayer's in the config."""

    requests: list[CreateRequest] = []  # noqa: RUF012
    outside: set[str] = set()  # noqa: RUF012

    def create(self, request: CreateRequest) -> Machines:
        Guarded.requests.append(request)
        return super().create(request)

    def allow(
        self,
        cluster: ClusterIdentity,
        networks: Sequence[str],
        *,
        only: bool = False,
        keep: Sequence[str] = (),
    ) -> tuple[list[str], list[str]]:
        added = [one for one in networks if one not in self.outside]
        withdrawn = sorted(self.outside - {*networks, *keep}) if only else []
        Guarded.outside = (self.outside | set(networks)) - set(withdrawn)
        return added, withdrawn


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that the service tells, the last one again and again; a text is what goes wrong."""
    tells = ["198.51.100.7"]

    def own_address(service: str) -> str:
        assert service == "https://checkip.amazonaws.com"
        if tells[0].startswith("no"):
            raise NotReady(where=service, what=tells[0])
        return tells[0]

    monkeypatch.setattr(sources, "own_address", own_address)
    Guarded.requests, Guarded.outside = [], set()
    return tells


def config(root: Path, **more: Any) -> ClusterSpec:
    groups = (group("master", 1, provider="softlayer", memory_gb=3.0), group("worker", provider="softlayer"))
    return replace(
        spec(2, path=root / "retina.yml"),
        **{"groups": groups, "object_store": ObjectStoreSpec(kind="none"), **more},
    )


def opened(world: World, root: Path, **more: Any) -> Cluster:
    return cluster(world, root, config=config(root, **more), provider=Guarded)


def test_it_is_asked_before_anything_is_made(asked: list[str], tmp_path: Path) -> None:
    world = World()
    asked[0] = "no address"
    with pytest.raises(NotReady, match="no address"):
        opened(world, tmp_path).ensure()
    assert not world.machines and not Guarded.requests and not (tmp_path / ".muster").exists()


def test_machines_let_in_this_computer_and_the_private_network(asked: list[str], tmp_path: Path) -> None:
    one = opened(World(), tmp_path)
    one.ensure()
    assert one.state.admitted() == (OWN,)
    for request in Guarded.requests:
        assert request.ssh_from == (OWN,)
        assert (
            "ip saddr { 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 198.51.100.7/32 } tcp dport 22"
            in request.user_data
        )
    found = inventory.build(one.spec, one.state, root="/p").hosts
    assert {host["node_allow"] for host in found.values() if "worker" in host["node_name"]} == {
        "ip saddr { 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 198.51.100.7/32 } tcp dport 22 accept"
    }


def test_nobody_is_asked_where_the_config_says_who(asked: list[str], tmp_path: Path) -> None:
    asked[0] = "no address"
    one = opened(World(), tmp_path, allow_from=(OFFICE,))
    one.ensure()
    assert "ip saddr { 203.0.113.0/24 } tcp dport 22 accept" in Guarded.requests[0].user_data
    assert Guarded.requests[0].ssh_from == (OFFICE,)


def test_a_second_run_that_makes_nothing_asks_nobody(asked: list[str], tmp_path: Path) -> None:
    world = World()
    opened(world, tmp_path).ensure()
    asked[0] = "no address"
    assert not opened(world, tmp_path).ensure().changed


def test_a_private_address_is_said(asked: list[str], tmp_path: Path) -> None:
    asked[0] = "10.20.30.40"
    one = opened(World(), tmp_path)
    one.ensure()
    reporter = one._reporter
    assert isinstance(reporter, SilentReporter)
    assert any("10.20.30.40" in line and "is private" in line for line in reporter.lines)


@pytest.mark.parametrize(
    ("networks", "words"),
    [
        (("0.0.0.0/0",), "0.0.0.0/0 lets a good part"),
        (("0.0.0.0/1", "128.0.0.0/1"), "0.0.0.0/0 lets"),
        ((OFFICE,), ""),
    ],
)
def test_what_is_wide_open_is_said(tmp_path: Path, networks: tuple[str, ...], words: str) -> None:
    found = sources.warnings(config(tmp_path, allow_from=networks))
    assert (words in found[0]) if words else not found
    assert sources.warnings(spec(2, allow_from=networks)) == [], "on this computer nobody else gets there"
    heard: list[str] = []
    sources.find_out(
        config(tmp_path, allow_from=networks),
        Plan(create=((group("worker", provider="softlayer"), ("a",)),)),
        heard.append,
    )
    assert heard == found


def test_allow_tells_every_running_machine(asked: list[str], tmp_path: Path) -> None:
    world = World()
    opened(world, tmp_path).ensure()
    Guarded.outside = {OWN}
    assert opened(world, tmp_path).allow([OFFICE]) == Change((OFFICE,), ())
    assert sorted(world.commands) == ["retina-master", "retina-worker-1"]
    assert all("203.0.113.0/24" in text and "198.51.100.7/32" in text for text in world.commands.values())
    asked[0] = "192.0.2.9"
    assert opened(world, tmp_path).allow() == Change((HOME,), ())
    assert opened(world, tmp_path).allow() == Change()
    assert opened(world, tmp_path).state.admitted() == (OWN, OFFICE, HOME)


def test_allow_only_withdraws_what_no_run_wants(asked: list[str], tmp_path: Path) -> None:
    world = World()
    opened(world, tmp_path, allow_from=(OFFICE,)).ensure()
    opened(world, tmp_path, allow_from=(OFFICE,)).allow([HOME])
    change = opened(world, tmp_path, allow_from=(OFFICE,)).allow(only=True)
    assert change == Change((OWN,), (HOME,))
    assert Guarded.outside == {OWN, OFFICE}
    assert "192.0.2.9" not in world.commands["retina-master"]
    grown = opened(world, tmp_path, allow_from=(OFFICE,))
    grown.spec = grown.view.spec = grown.spec.sized(3)
    grown.ensure()
    assert Guarded.requests[-1].ssh_from == (OFFICE, OWN)


def test_machines_that_could_not_be_told_are_named_and_told_by_the_next_run(
    asked: list[str], tmp_path: Path
) -> None:
    world = World()
    opened(world, tmp_path).ensure()
    world.unreachable.add("retina-worker-1")
    with pytest.raises(Unreachable, match="retina-worker-1.*from an address that they let in"):
        opened(world, tmp_path).allow([OFFICE])
    world.unreachable.clear()
    world.commands.clear()
    opened(world, tmp_path).allow([OFFICE])
    assert "203.0.113.0/24" in world.commands["retina-worker-1"]


class Elsewhere(Guarded):
    """The other provider of a mixed cluster."""

    def admit_master(
        self,
        cluster: ClusterIdentity,
        groups: Sequence[NodeGroup],
        networks: Sequence[str],
        gone: Sequence[str],
    ) -> None:
        self.world.clock.tick("admit")
        assert [one.name for one in groups] == ["gpu"]
        Guarded.outside = (self.outside - set(gone)) | set(networks)


def mixed(root: Path, world: World, reporter: SilentReporter) -> Run:
    """A verb on a cluster with a master at EC2 and a machine at SoftLayer."""
    groups = (group("master", 1, provider="ec2"), group("gpu", 1, provider="softlayer"))
    spec = config(root, groups=groups, object_store=ObjectStoreSpec(kind="s3"))
    state = State(root / "retina")
    identity = ClusterIdentity("retina", "0123abcd")
    state.begin(identity)
    return Run(
        spec, state, identity, lambda _: Elsewhere(world, spec), reporter, FakeReach(world), FakeStores(world), lambda: None
    )  # fmt: skip


def test_the_master_is_let_in_elsewhere_by_the_address_that_it_has_now(
    asked: list[str], tmp_path: Path
) -> None:
    """A stop gives it another one; the old one is let in no more, whenever the command was killed on the way."""
    world = World()
    run = mixed(tmp_path, world, SilentReporter())
    Guarded.outside = {OWN, OFFICE}
    run.state.admit([OWN])
    for public in ("203.0.113.77", "203.0.113.77", "203.0.113.78"):
        machines = [replace(machine("retina-master"), public=public), machine("retina-gpu-1")]
        world.clock.restart(kill_at=1)
        with pytest.raises(KilledError):
            sources.admit_master(run, machines)
        world.clock.restart()
        sources.admit_master(run, machines)
        assert Guarded.outside == {OWN, OFFICE, f"{public}/32"}
        assert run.state.master_admitted() == (f"{public}/32",)
    sources.admit_master(run, [machine("retina-master"), machine("retina-gpu-1")])
    assert Guarded.outside == {OWN, OFFICE} and run.state.master_admitted() == ()


def test_what_users_are_let_in_from_stays_when_the_master_leaves_it(asked: list[str], tmp_path: Path) -> None:
    run = mixed(tmp_path, World(), SilentReporter())
    run.state.admit([HOME])
    for public, wanted in ((HOME.removesuffix("/32"), {HOME}), ("203.0.113.78", {HOME, "203.0.113.78/32"})):
        sources.admit_master(run, [replace(machine("retina-master"), public=public), machine("retina-gpu-1")])
        assert wanted == Guarded.outside


def test_allow_takes_nothing_from_the_master(asked: list[str], tmp_path: Path) -> None:
    world = World()
    run = mixed(tmp_path, world, SilentReporter())
    machines = [replace(machine("retina-master"), public="203.0.113.77"), machine("retina-gpu-1")]
    world.machines = {one.name: replace(one, labels={"cluster": run.identity.id}) for one in machines}
    sources.admit_master(run, machines)
    sources.allow(run, [HOME], only=True)
    assert Guarded.outside == {HOME, "203.0.113.77/32"}
    told = {name: "203.0.113.77/32" in text for name, text in world.commands.items()}
    assert told == {"retina-gpu-1": True, "retina-master": False}


def test_a_cluster_at_one_provider_has_nothing_to_open(asked: list[str], tmp_path: Path) -> None:
    one = opened(World(), tmp_path)
    one.ensure()
    assert not (one.state.folder / "master_admitted").exists()


def test_machines_of_this_computer_are_none_of_its_business(asked: list[str], tmp_path: Path) -> None:
    asked[0] = "no address"
    world = World()
    cluster(world, tmp_path, 2).ensure()
    assert cluster(world, tmp_path, 2).allow() == Change()
    assert not world.commands


@pytest.mark.parametrize(
    ("provider", "allow_from", "wanted"),
    [
        ("local", (OFFICE,), []),
        ("ec2", (OFFICE,), []),  # the security group does it, which can be changed from a new address
        ("existing", (), []),
        ("existing", (OFFICE,), [OFFICE, HOME]),
        ("softlayer", (), [HOME, *PRIVATE]),
        ("softlayer", (OFFICE,), [OFFICE, HOME]),
    ],
)
def test_where_machines_themselves_keep_others_out(
    tmp_path: Path, provider: str, allow_from: tuple[str, ...], wanted: list[str]
) -> None:
    assert facts_of(provider).ssh_from(config(tmp_path, allow_from=allow_from), [HOME]) == wanted


def test_a_request_that_was_begun_is_repeated_with_the_same_networks(
    asked: list[str], tmp_path: Path
) -> None:
    from provision.cluster.orders import _from_text, _to_text

    opened(World(), tmp_path).ensure()
    request = Guarded.requests[0]
    assert _from_text(_to_text(request, "b")).ssh_from == request.ssh_from
    older = json.loads(_to_text(request, "b"))
    del older["request"]["ssh_from"]
    assert _from_text(json.dumps(older)).ssh_from == ()
