"""A lost state folder is made anew; killed at any moment, the same command goes on; nobody is trusted unseen."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from provision.cluster.adoption import Remembered, parse
from provision.cluster.cluster import Cluster
from provision.core import z85
from provision.core.errors import ConfigError, HostKeyMismatch, NotReady, ProviderError
from provision.core.model import Machine, NodeState
from provision.core.names import OWNER_LABEL
from provision.core.paths import owner_mark
from provision.core.spec import Duration
from provision.costs.accounts import read_accounts
from provision.data.stores.keys import StoreKeys, recorded
from provision.providers.facts import Deadlines, facts_of
from provision.ssh import access, hostkey, keys
from tests.fakes.provider import OWN, FakeProvider, KilledError, World, cluster, make_disk_mortal, spec

TOLD = Remembered(
    keys=("ssh-ed25519 AAAAfirst muster-retina",),
    spark="0" * 64,
    store=StoreKeys("a", "s"),
    admitted=("203.0.113.7/32",),
    tracking="p" * 40,
)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(hourly=0.5)
    make_disk_mortal(monkeypatch, world.clock)
    monkeypatch.setattr(facts_of("local"), "deadlines", Deadlines(boot=60, gone=0.0))
    return world


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "katie"
    keys.ensure_login_key(path, "katie@home")
    return path


def public(key: Path) -> str:
    return key.with_suffix(".pub").read_text().strip()


def checkout(world: World, root: Path, key: Path, nodes: int | None = None, **more: Duration) -> Cluster:
    """A clone whose config file lets Katie in."""
    root.mkdir(exist_ok=True)
    config = spec(nodes or 3, given=nodes is not None, path=root / "retina.yml", **more)
    return cluster(world, root, config=replace(config, access={"katie": public(key)}))


def read(target: object, key_file: Path) -> Remembered:
    assert getattr(target, "host_key", "") == OWN
    return TOLD


def lost(world: World, root: Path, key: Path, nodes: int = 3) -> str:
    """Start a cluster and lose its state; return its id."""
    one = checkout(world, root, key, nodes)
    one.ensure()
    identity = one.view.identity
    shutil.rmtree(one.state.folder)
    return identity.id


def test_everything_is_there_again(world: World, tmp_path: Path, key: Path) -> None:
    id = lost(world, tmp_path / "one", key)
    orders = len(world.orders)
    found = checkout(world, tmp_path / "two", key)
    assert found.adopt(key, read=read).id == id
    state = found.state
    view = state.journal.read()
    assert (view.wish, view.stores, view.providers) == (3, {"default"}, {"local"})
    assert set(view.pins.values()) == {OWN} and len(view.pins) == 3
    assert state.load().complete and len(state.targets()) == 4
    assert state.key_file.is_symlink() and state.key_file.resolve() == key
    assert (state.secrets / "spark").read_text() == TOLD.spark
    assert (state.secrets / "tracking").read_text() == TOLD.tracking
    kept = recorded(state.secrets)
    assert kept is not None and replace(kept, opens="") == TOLD.store
    assert state.admitted() == TOLD.admitted, "main.yml from here would lock out who is let in"
    assert access.login_keys(state, found.spec.access)[-1] == f"{access.bare(public(key))} access:katie"
    assert "AAAAfirst" in access.login_keys(state, found.spec.access)[0]
    bills = read_accounts(state.journal.records())
    assert len(bills) == 3 and all(account.last.hourly == 0.5 for account in bills.values())
    found.view.check()
    owners = {machine.labels["owner"] for machine in world.machines.values()}
    assert owners == {owner_mark(state.parent)}, "the clone that made them could reap them"
    assert not checkout(world, tmp_path / "two", key).ensure().changed
    checkout(world, tmp_path / "two", key, 4).ensure()
    assert len(world.orders) == orders + 1
    with pytest.raises(NotReady, match="its state is here already"):
        checkout(world, tmp_path / "two", key).adopt(key, read=read)
    checkout(world, tmp_path / "two", key).destroy()
    assert not world.machines and key.is_file()


def test_the_deadline_of_the_machines_is_known_again(world: World, tmp_path: Path, key: Path) -> None:
    one = checkout(world, tmp_path / "one", key, ttl=Duration("8h"))
    one.ensure()
    deadline = one.view.deadline
    shutil.rmtree(one.state.folder)
    found = checkout(world, tmp_path / "two", key)
    found.adopt(key, read=read)
    assert found.view.deadline == deadline > 0


def test_killed_at_any_moment(world: World, tmp_path: Path, key: Path) -> None:
    lost(world, tmp_path / "one", key, 2)
    before = {key: replace(machine, labels={}) for key, machine in world.machines.items()}
    for moment in range(1, 300):
        root = tmp_path / str(moment)
        world.clock.restart(kill_at=moment)
        try:
            checkout(world, root, key).adopt(key, read=read)
        except KilledError:
            world.clock.restart()
        else:
            assert moment > 16, "the kills covered next to nothing"
            break
        again = checkout(world, root, key)
        if not again.state.load().complete:
            again.adopt(key, read=read)
        again.view.check()
        assert again.view.wish == 2
        now = {key: replace(machine, labels={}) for key, machine in world.machines.items()}
        assert now == before, "adopting ordered, deleted or changed a machine"
        mark = owner_mark(again.state.parent)
        assert {machine.labels[OWNER_LABEL] for machine in world.machines.values()} == {mark}, (
            "reap would end it"
        )
        assert not checkout(world, root, key).ensure().changed


def test_the_size_last_wished_is_the_one_on_the_master(world: World, tmp_path: Path, key: Path) -> None:
    one = checkout(world, tmp_path / "one", key, 4)
    one.ensure()
    checkout(world, tmp_path / "one", key, 2).ensure(scale_in=True)
    shutil.rmtree(one.state.folder)
    found = checkout(world, tmp_path / "two", key)
    found.adopt(key, read=read)
    assert found.view.wish == 2


def test_nobody_without_access(world: World, tmp_path: Path, key: Path) -> None:
    lost(world, tmp_path / "one", key)
    stranger = tmp_path / "stranger"
    keys.ensure_login_key(stranger, "x")
    with pytest.raises(ConfigError, match="access: the key .*stranger.pub is not in it"):
        checkout(world, tmp_path / "two", key).adopt(stranger, read=read)
    assert not (tmp_path / "two" / ".muster").exists()


def changed(world: World, name: str, **more: object) -> Machine:
    machine = next(m for m in world.machines.values() if m.name == name)
    world.machines[machine.provider_id] = replace(machine, **more)
    return machine


def test_a_machine_without_a_known_host_key_is_not_believed(world: World, tmp_path: Path, key: Path) -> None:
    lost(world, tmp_path / "one", key)
    machine = changed(world, "retina-worker-1")
    labels = {name: value for name, value in machine.labels.items() if name != hostkey.LABEL}
    changed(world, machine.name, labels=labels)
    with pytest.raises(NotReady, match="retina-worker-1: their host keys are in no label"):
        checkout(world, tmp_path / "two", key).adopt(key, read=read)
    assert not (tmp_path / "two" / ".muster").exists()


def test_a_machine_with_another_host_key_is_refused(world: World, tmp_path: Path, key: Path) -> None:
    lost(world, tmp_path / "one", key)

    def other(target: object, key_file: Path) -> Remembered:
        raise HostKeyMismatch(machine="retina-master", what="shows another host key", remedy="Find out")

    with pytest.raises(HostKeyMismatch):
        checkout(world, tmp_path / "two", key).adopt(key, read=other)
    assert not (tmp_path / "two" / ".muster").exists()


def test_two_clusters_of_one_name(world: World, tmp_path: Path, key: Path) -> None:
    first, second = lost(world, tmp_path / "one", key, 1), lost(world, tmp_path / "two", key, 1)
    found = checkout(world, tmp_path / "three", key)
    with pytest.raises(NotReady, match="2 clusters of this name.*--id"):
        found.adopt(key, read=read)
    assert found.adopt(key, id=second, read=read).id == second != first


def test_no_such_cluster(world: World, tmp_path: Path, key: Path) -> None:
    with pytest.raises(NotReady, match="no machines of this cluster were found"):
        checkout(world, tmp_path / "one", key).adopt(key, read=read)


def test_stopped_machines_are_adopted_as_they_are(world: World, tmp_path: Path, key: Path) -> None:
    lost(world, tmp_path / "one", key)
    for machine in list(world.machines.values()):
        changed(world, machine.name, state=NodeState.STOPPED)
    found = checkout(world, tmp_path / "two", key)
    found.adopt(key, read=read)
    assert not found.state.load().complete
    assert len(checkout(world, tmp_path / "two", key).ensure().started) == 3


def test_another_checkout_s_new_machine_is_pinned_from_its_label(
    world: World, tmp_path: Path, key: Path
) -> None:
    one = checkout(world, tmp_path / "one", key)
    one.ensure()
    two = checkout(world, tmp_path / "two", key)
    two.adopt(key, read=read)
    checkout(world, tmp_path / "two", key, 4).ensure()
    assert not checkout(world, tmp_path / "one", key, 4).ensure().changed
    assert len(one.state.journal.read().pins) == 4


@pytest.mark.parametrize("kind", ["none", "rsa", "locked"])
def test_a_key_that_cannot_be_used(world: World, tmp_path: Path, key: Path, kind: str) -> None:
    from cryptography.hazmat.primitives import serialization as s

    path = tmp_path / kind
    made = rsa.generate_private_key(65537, 2048) if kind == "rsa" else ed25519.Ed25519PrivateKey.generate()
    lock = s.BestAvailableEncryption(b"secret") if kind == "locked" else s.NoEncryption()
    if kind != "none":
        path.write_bytes(made.private_bytes(s.Encoding.PEM, s.PrivateFormat.OpenSSH, lock))
    with pytest.raises(NotReady, match="Name another one with --key"):
        checkout(world, tmp_path / "two", key).adopt(path, read=read)


def test_what_the_master_says() -> None:
    secret = "ab" * 32
    output = (
        f"\0keys\0ssh-ed25519 AAAA muster-retina\nssh-ed25519 BBBB access:katie\n\0spark\0a b\n"
        f"spark.authenticate.secret {secret}\n\0store\0"
        + json.dumps({"access_key": "a", "secret_key": "s", "x": 1})
        + '\n\0jobs\0{"env": {\n    "MUSTER_IMAGE_SIZE": "16"\n}}\n'
        + f"\0engines\0{json.dumps({'secret': z85.encode(bytes.fromhex(secret)), 'node': 'x'})}"
        + "\0allow\0ip saddr { 10.0.0.0/8, 203.0.113.7/32 } tcp dport 22 accept\n"
        + f'\0tracking\0{{"password": "{"x" * 40}"}}\n'
    )
    found = parse(output)
    assert found.keys == ("ssh-ed25519 AAAA muster-retina",)
    assert (found.spark, found.engines, found.image_size) == (secret, secret, 16)
    assert found.admitted == ("203.0.113.7/32",)
    assert found.tracking == "x" * 40
    assert found.tracking not in repr(found)
    assert found.store == StoreKeys("a", "s")
    lent = '\0store\0{"access_key": "a", "secret_key": "s", "session_token": "t"}'
    assert parse(lent).store is None, "keys that end are asked for anew"
    assert secret not in repr(found)
    assert parse('\0engines\0{"secret": "HelloWorld"}').engines == "", "too short"
    assert parse("\0keys\0\0spark\0\0store\0\0jobs\0") == Remembered()


def test_host_keys_as_labels() -> None:
    label = hostkey.to_label(OWN)
    assert label.startswith("ed25519-") and len(label) == 72
    assert hostkey.to_label("ecdsa-sha2-nistp256 AAAA") == hostkey.to_label("") == ""


def test_labels_that_cannot_be_written_are_written_by_the_next_run(
    world: World, tmp_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: object) -> None:
        raise ProviderError(provider="local", what="throttled")

    with monkeypatch.context() as patched:
        patched.setattr(FakeProvider, "label", refuses)
        checkout(world, tmp_path / "one", key).ensure()
    assert not any(hostkey.of(machine) for machine in world.machines.values())
    assert not checkout(world, tmp_path / "one", key).ensure().changed
    assert all(hostkey.of(machine) == OWN for machine in world.machines.values())
    world.clock.restart()
    checkout(world, tmp_path / "one", key).ensure()
    assert "label" not in world.clock.seen
