"""EC2: the life of machines after their order: labels, prices, stop, start, access, and an end without traces."""

from __future__ import annotations

import pytest

from provision.core.errors import NotReady, OutcomeUnknown, ProviderError
from provision.core.model import NodeState
from tests.fakes.ec2 import IDENTITY, Cloud, names, order


def test_the_last_machine_takes_everything_with_it(cloud: Cloud) -> None:
    cloud.emulator.set(shutting_down_s=0.5)
    provider = cloud.provider()
    made = sorted(provider.create(order(provider)), key=lambda machine: machine.name)
    assert provider.delete(IDENTITY, made[:1]) == []
    left = cloud.emulator.books()
    assert names(provider.list(IDENTITY)) == ["retina-worker-2"]
    assert len(left["groups"]) == len(left["keys"]) == 1 and len(left["volumes"]) == 2
    name = f"muster-{IDENTITY.name}-{IDENTITY.id}"
    assert provider.delete(IDENTITY, made[1:]) == [f"key pair {name}", f"security group {name}"]
    assert cloud.emulator.left_over() == []
    assert provider.delete(IDENTITY, []) == []


def test_a_delete_that_was_interrupted_is_finished(cloud: Cloud) -> None:
    provider = cloud.provider()
    made = provider.create(order(provider))
    cloud.emulator.fault("DeleteSecurityGroup", "error", code="UnauthorizedOperation")
    with pytest.raises(NotReady):
        provider.delete(IDENTITY, made)
    cloud.provider().delete(IDENTITY, [])
    assert cloud.emulator.left_over() == []


def test_machines_that_nobody_has_seen_yet_are_deleted_too(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Destroyed after a lost reply, before AWS lists what it made."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    cloud.emulator.fault("RunInstances", "drop-after")
    cloud.emulator.set(invisible_s=2)
    provider = cloud.provider()
    with pytest.raises(OutcomeUnknown):
        provider.create(order(provider))
    again = cloud.provider()
    assert again.list(IDENTITY) == []
    again.delete(IDENTITY, [])  # waits until they are listed, and keeps what they need
    late = again.list(IDENTITY)
    assert names(late) == ["retina-worker-1", "retina-worker-2"]
    again.delete(IDENTITY, late)
    assert cloud.emulator.left_over() == []


def test_another_clusters_machines_are_left_alone(cloud: Cloud) -> None:
    from provision.core.model import ClusterIdentity

    other = ClusterIdentity("retina", "ffffffff")
    provider = cloud.provider()
    provider.create(order(provider))
    provider.create(order(provider, token="1" * 32, cluster=other))
    assert {m.labels["cluster_id"] for m in provider.everything()} == {IDENTITY.id, "ffffffff"}
    provider.delete(IDENTITY, provider.list(IDENTITY))
    assert names(provider.list(other)) == ["retina-worker-1", "retina-worker-2"]
    provider.delete(other, provider.list(other))
    assert cloud.emulator.left_over() == [] and provider.everything() == []


def test_stop_and_start_take_their_time(cloud: Cloud) -> None:
    cloud.emulator.set(stopping_s=0.7, pending_s=0.2)
    provider = cloud.provider()
    made = provider.create(order(provider))
    provider.stop(IDENTITY, made)
    stopped = provider.list(IDENTITY)
    assert {m.state for m in stopped} == {NodeState.STOPPED}
    provider.start(IDENTITY, stopped)
    assert {m.state for m in provider.list(IDENTITY)} <= {NodeState.PENDING, NodeState.RUNNING}
    assert {m.data_device for m in provider.list(IDENTITY)} == {m.data_device for m in made}


def test_a_machine_that_is_still_stopping_is_started_when_it_has_stopped(cloud: Cloud) -> None:
    import boto3

    cloud.emulator.set(stopping_s=1)
    provider = cloud.provider()
    made = provider.create(order(provider, count=1))
    boto3.client("ec2").stop_instances(InstanceIds=[made[0].provider_id.partition("/")[2]])
    provider.start(IDENTITY, provider.list(IDENTITY))
    assert provider.list(IDENTITY)[0].state is NodeState.RUNNING


def test_no_room_for_a_start_is_asked_once_and_told(cloud: Cloud) -> None:
    """It is an HTTP 500, which the client would repeat."""
    provider = cloud.provider()
    made = provider.create(order(provider))
    provider.stop(IDENTITY, made)
    cloud.emulator.fault("StartInstances", "error", code="InsufficientInstanceCapacity", message="none here")
    with pytest.raises(ProviderError, match=r"no room to start them again \(none here\)\. Run the same"):
        provider.start(IDENTITY, made)
    assert cloud.emulator.books()["calls"]["StartInstances"] == 1
    cloud.emulator.fault("StartInstances", "500-before")
    provider.start(IDENTITY, made)
    assert {machine.state for machine in provider.list(IDENTITY)} == {NodeState.RUNNING}


def test_an_interrupted_spot_machine_is_gone(cloud: Cloud) -> None:
    groups = {"worker": {"instance_type": "t3.small", "spot": True, "data_disk_gb": 10}}
    provider = cloud.provider(groups=groups)
    provider.create(order(provider))
    first = cloud.emulator.alive()[0]
    cloud.emulator.interrupt(first["id"])
    assert len(names(provider.list(IDENTITY))) == 1
    lost = next(one for one in cloud.emulator.books()["instances"] if one["id"] == first["id"])
    assert lost["reason"] == "Server.SpotInstanceTermination"


def test_labels_are_kept_as_tags_and_names_are_shown(cloud: Cloud) -> None:
    provider = cloud.provider()
    made = provider.create(order(provider))
    provider.label(IDENTITY, {made[0].provider_id: {"host_key": "SHA256:abc"}})
    provider.label(IDENTITY, {made[0].provider_id: {"deadline": "1800000000"}})
    found = {m.provider_id: m.labels for m in cloud.provider().list(IDENTITY)}
    assert found[made[0].provider_id]["host_key"] == "SHA256:abc"
    assert found[made[0].provider_id]["deadline"] == "1800000000"
    assert "host_key" not in found[made[1].provider_id]
    shown = sorted(one["tags"]["Name"] for one in cloud.emulator.alive())
    assert shown == ["retina-worker-1", "retina-worker-2"]


def test_one_deadline_for_all_is_one_call(cloud: Cloud) -> None:
    provider = cloud.provider()
    made = provider.create(order(provider, count=5))
    for deadline in ("1800000000", "1800003600", "1800003600"):
        provider.label(IDENTITY, {machine.provider_id: {"deadline": deadline} for machine in made})
    assert cloud.emulator.books()["calls"]["CreateTags"] == 5 + 2  # names, deadlines
    assert {machine.labels["deadline"] for machine in provider.list(IDENTITY)} == {"1800003600"}


def test_a_master_elsewhere_is_let_in_by_its_address_and_no_more_by_the_old_one(cloud: Cloud) -> None:
    own, old, new = "198.51.100.7/32", "203.0.113.77/32", "203.0.113.78/32"
    provider = cloud.provider()
    groups = [order(provider).group]
    provider.admit_master(IDENTITY, groups, [old], [])  # nothing is there yet that could be opened
    provider.create(order(provider))
    for networks, gone, there in (
        ([old], [], [own, old]),
        ([old], [], [own, old]),
        ([new], [old], [own, new]),
        ([new], [old], [own, new]),
        ([], [new], [own]),
    ):
        provider.admit_master(IDENTITY, groups, networks, gone)
        assert cloud.emulator.books()["groups"][0]["ssh"] == there
    provider.admit_master(IDENTITY, groups, [new], [])
    assert provider.allow(IDENTITY, [own], only=True, keep=[new]) == ([], [])
    assert cloud.emulator.books()["groups"][0]["ssh"] == [own, new]
    assert cloud.emulator.books()["groups"][0]["ports"] == ["22"]


def test_allow_adds_networks_and_withdraws_the_others_on_demand(cloud: Cloud) -> None:
    own, new, office = "198.51.100.7/32", "203.0.113.9/32", "192.0.2.0/24"
    provider = cloud.provider()
    assert provider.allow(IDENTITY, [own]) == ([], [])  # no cluster, nothing to open
    provider.create(order(provider))
    assert provider.allow(IDENTITY, [own]) == ([], [])
    assert provider.allow(IDENTITY, [new, office, new]) == ([new, office], [])
    assert cloud.emulator.books()["groups"][0]["ssh"] == [office, own, new]
    assert provider.allow(IDENTITY, [new], only=True) == ([], [own, office])
    assert provider.allow(IDENTITY, [new], only=True) == ([], [])
    assert cloud.emulator.books()["groups"][0]["ssh"] == [new]


@pytest.mark.parametrize(("choice", "public"), [("auto", True), ("public", True), ("private", False)])
def test_the_address_for_ssh(cloud: Cloud, choice: str, public: bool) -> None:
    provider = cloud.provider(ec2={"ssh_address": choice})
    (machine,) = provider.create(order(provider, count=1))
    assert (machine.ssh_address != machine.address) == public
    provider.delete(IDENTITY, [machine])
    assert cloud.emulator.left_over() == []


def test_throttling_is_ridden_out(cloud: Cloud) -> None:
    for action in ("DescribeInstances", "CreateSecurityGroup", "TerminateInstances"):
        cloud.emulator.fault(action, "throttle")
    provider = cloud.provider()
    made = provider.create(order(provider))
    provider.delete(IDENTITY, made)
    assert cloud.emulator.left_over() == []


def test_calls_grow_with_groups_not_with_machines(cloud: Cloud) -> None:
    provider = cloud.provider()
    made = provider.create(order(provider, count=20))
    provider.list(IDENTITY)
    provider.delete(IDENTITY, made)
    calls = cloud.emulator.books()["calls"]
    assert calls.pop("CreateTags") == 20, "each machine has a name of its own"
    assert sum(calls.values()) < 30


def test_nothing_secret_is_noted(cloud: Cloud) -> None:
    provider = cloud.provider()
    provider.create(order(provider, user_data="#cloud-config\n# top-secret\n"))
    noted = "".join(path.read_text() for path in (cloud.folder / "state").rglob("*ec2*") if path.is_file())
    assert "t3.small" in noted and "top-secret" not in noted and cloud.emulator.access_key not in noted
