"""The provider of hosts that are there already, with hosts that exist only here."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from muster_node.needed import NEEDED
from provision.config.load import load_config
from provision.core.errors import HostKeyMismatch, HostKeyUnknown, NotReady, ProviderError
from provision.core.model import ClusterIdentity, CreateRequest, NodeState
from provision.core.paths import PROJECT
from provision.core.spec import ClusterSpec
from provision.planning.plan import make_plan
from provision.providers import load
from provision.providers.base import Provider
from provision.providers.existing import agent, host
from provision.providers.existing.config import ExistingSettings, HostModel
from provision.providers.existing.host import Host, NotAnswering
from provision.ssh import pinning
from provision.state.folder import State
from provision.state.journal import View

ROLES = PROJECT / "roles"
KEY = "ssh-ed25519 " + "A" * 68
ME = ClusterIdentity("retina", "0123abcd")
LOOK = {
    "system": "Debian GNU/Linux 13 (trixie)",
    "release": "debian 13",
    "systemd": True,
    "cores": 4,
    "memory_gb": 7.7,
    "record": None,
    "image": "",
    "against": "",
    "from": "198.51.100.7",
}


@pytest.fixture
def spec(tmp_path: Path):
    """A cluster of two existing hosts; the third one is free."""
    hosts = [{"address": f"192.0.2.{number}", "user": "me", "host_key": KEY} for number in (1, 2, 3)]
    keys = {
        "plugin": "cluster",
        "cluster": "retina",
        "provider": "existing",
        "nodes": 2,
        "groups": {"master": {"memory_gb": 3, "hosts": hosts[:1]}, "worker": {"hosts": hosts[1:]}},
        "object_store": {"kind": "none"},
    }
    path = tmp_path / "retina.yml"
    path.write_text(yaml.safe_dump(keys))
    (tmp_path / "ansible.cfg").touch()
    (tmp_path / ".muster" / "retina").mkdir(parents=True)
    return load_config(path)


def existing(spec: ClusterSpec) -> Provider:
    return load("existing", spec, spec.path.parent / ".muster" / spec.name)


class World:
    """The hosts as they are: what each would say of itself."""

    def __init__(self) -> None:
        self.looks: dict[str, dict[str, Any]] = {f"192.0.2.{number}": dict(LOOK) for number in (1, 2, 3)}
        self.dead: set[str] = set()
        self.asked: list[tuple[str, str]] = []

    def ask(
        self, one: Host, verb: str, request: Mapping[str, Any] | None = None, *, timeout_s: float = 60
    ) -> dict[str, Any]:
        self.asked.append((one.address, verb))
        if one.address in self.dead:
            raise NotAnswering(provider="existing", where=one.address, what="not reachable")
        look = self.looks[one.address]
        if verb == "prepare":
            assert request
            look["record"] = {**request["record"], "created": 1.0}
        elif verb == "remove":
            look["record"] = None
        elif verb == "label":
            assert request
            look["record"]["labels"] |= request["labels"]
        return look


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    monkeypatch.setattr(Host, "ask", lambda one, *words, **more: made.ask(one, *words, **more))  # noqa: PLW0108  bound to the host
    return made


def request(spec, names: tuple[str, ...] = ("retina-worker-1",), token: str = "t" * 32) -> CreateRequest:
    return CreateRequest(ME, spec.group("worker"), names, token, "#cloud-config\n{}\n", "", {"cores": "2"})


def test_a_life(spec, world) -> None:
    provider = existing(spec)
    provider.check_ready(spec, make_plan(spec, []))
    (machine,) = provider.create(request(spec))
    assert provider.list(ME) == [machine]
    assert (machine.name, machine.address, machine.host_key) == ("retina-worker-1", "192.0.2.2", KEY)
    assert provider.list(ClusterIdentity("retina", "ffffffff")) == []
    provider.label(ME, {machine.provider_id: {"wish": "3"}})
    assert provider.everything()[0].labels == {
        "cores": "2",
        "wish": "3",
        "cluster": "retina",
        "cluster_id": ME.id,
    }
    provider.delete(ME, [machine])
    assert provider.list(ME) == []
    assert provider.price(spec.group("worker")) is None


def test_the_same_token_twice_is_the_same_host(spec, world) -> None:
    provider = existing(spec)
    first = provider.create(request(spec))
    assert existing(spec).create(request(spec)) == first
    both = provider.create(request(spec, ("retina-worker-2",), "u" * 32))
    assert [machine.ssh_address for machine in first + both] == ["192.0.2.2", "192.0.2.3"]
    with pytest.raises(NotReady, match="1 hosts are needed and 0 can be used"):
        provider.create(request(spec, ("retina-worker-3",), "v" * 32))


def test_killed_between_the_first_and_the_second_host(spec, world, monkeypatch) -> None:
    provider, wanted = existing(spec), request(spec, ("retina-worker-1", "retina-worker-2"))
    world.dead.add("192.0.2.3")
    with pytest.raises(NotAnswering):
        provider.create(wanted)
    world.dead.clear()
    assert [machine.name for machine in existing(spec).create(wanted)] == list(wanted.names)
    assert len(existing(spec).list(ME)) == 2


def test_a_host_that_is_off_is_no_host_that_is_gone(spec, world) -> None:
    provider = existing(spec)
    provider.create(request(spec))
    world.dead.add("192.0.2.2")
    (machine,) = provider.list(ME)
    assert machine.state is NodeState.STOPPED
    with pytest.raises(ProviderError, match="never switched on from here. Switch it on"):
        provider.start(ME, [machine])
    with pytest.raises(NotAnswering):
        provider.delete(ME, [machine])
    world.dead.clear()
    assert existing(spec).list(ME)[0].state is NodeState.RUNNING


def test_a_used_host_is_not_forgotten_when_the_config_forgets_it(spec, world) -> None:
    existing(spec).create(request(spec))
    group = replace(spec.group("worker"), settings=ExistingSettings())
    changed = existing(replace(spec, groups=(spec.group("master"), group)))
    (machine,) = changed.list(ME)
    changed.delete(ME, [machine])
    assert world.looks["192.0.2.2"]["record"] is None


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            {"release": "ubuntu 24.04", "system": "Ubuntu 24.04"},
            "192.0.2.1: runs Ubuntu 24.04, not Debian 13",
        ),
        ({"systemd": False}, "does not run systemd"),
        ({"memory_gb": 0.9}, "has 4 cores and 0.9 GiB, less than groups.master says"),
        ({"against": "it has a user hdfs of its own"}, "192.0.2.1: it has a user hdfs of its own"),
        ({"record": {"cluster": "other", "token": "x"}}, "192.0.2.1: belongs to the cluster other"),
    ],
)
def test_what_cannot_be_used_is_said_before_anything_changes(wrong, said, spec, world) -> None:
    world.looks["192.0.2.1"] |= wrong
    with pytest.raises(NotReady, match="groups.master.hosts: 1 hosts are needed and 0 can be used") as error:
        existing(spec).check_ready(spec, make_plan(spec, []))
    assert said in str(error.value)
    assert {verb for _, verb in world.asked} == {"look"}


def test_unknown_host_keys_are_shown_and_approved_once(spec, world, monkeypatch) -> None:
    group = replace(spec.group("master"), settings=ExistingSettings(hosts=(HostModel(address="192.0.2.1"),)))
    spec = replace(spec, groups=(group, spec.group("worker")))
    monkeypatch.setattr(
        host,
        "unknown",
        lambda address: HostKeyUnknown(keys={address: KEY}, what="x", where=address, remedy=""),
    )
    with pytest.raises(HostKeyUnknown) as error:
        existing(spec).check_ready(spec, make_plan(spec, []))
    assert error.value.keys == {"192.0.2.1": KEY}
    assert existing(spec).list(ME) == []
    host.approve(spec.path.parent / ".muster" / "retina", error.value.keys)
    existing(spec).check_ready(spec, make_plan(spec, []))


def test_fingerprints_are_those_of_openssh() -> None:
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
    assert host.fingerprint(key) == "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU"


@pytest.mark.parametrize(
    ("script", "kind", "said"),
    [
        ("echo 'Host key verification failed.' >&2; exit 255", HostKeyMismatch, "not the pinned one"),
        ("echo 'me@x: Permission denied (publickey).' >&2; exit 255", NotReady, "me may not log in by SSH"),
        ("echo 'ssh: connect: No route to host' >&2; exit 255", NotAnswering, "not reachable by SSH"),
        ("echo 'sudo: a password is required' >&2; exit 1", NotReady, "sudo without a password"),
        ("""echo '{"refused": "it has a user hdfs"}'""", ProviderError, "192.0.2.1: it has a user hdfs"),
    ],
)
def test_what_goes_wrong_over_ssh_is_one_line(script, kind, said, tmp_path, monkeypatch) -> None:
    program = tmp_path / "ssh"
    program.write_text(f"#!/bin/sh\ncat > {tmp_path}/sent\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    one = Host("192.0.2.1", "me", "", KEY, "192.0.2.1", "")
    with pytest.raises(kind) as error:
        one.ask("look")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_known_host_key_is_pinned_without_a_bootstrap_key(spec, world, tmp_path) -> None:
    """And the host's other keys are left alone."""
    (machine,) = existing(spec).create(request(spec))
    state, seen = State(tmp_path / "state"), []

    class Seen(pinning.Reach):
        def pin_own_key(self, *words: Any, **more: Any) -> str:
            raise AssertionError

        def check(self, target: Any, key_file: Any, *, unfinished: bool, **more: Any) -> None:
            seen.append((target.host_key, unfinished))

    state.begin(ME)
    Seen().reach(state, machine, "ecdsa-sha2-nistp256 BBBB", View(), deadline_s=1, stop=lambda: None)
    assert seen == [(KEY, False)]
    assert state.journal.read().pins == {machine.provider_id: KEY}


@pytest.mark.parametrize(
    ("allow_from", "words"),
    [
        ((), ""),
        (("198.51.100.0/24",), ""),
        (
            ("203.0.113.0/24",),
            "192.0.2.1: sees this computer as 198.51.100.7, which allow_from does not let in",
        ),
    ],
)
def test_nobody_locks_themselves_out_of_their_own_hosts(
    spec, world, allow_from: tuple[str, ...], words: str
) -> None:
    limited = replace(spec, allow_from=allow_from)
    if words:
        with pytest.raises(NotReady, match=words):
            existing(limited).check_ready(limited, make_plan(limited, []))
    else:
        existing(limited).check_ready(limited, make_plan(limited, []))


def test_a_host_says_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent.sys, "argv", ["-", "198.51.100.7 40000 192.0.2.1 22"])
    monkeypatch.setattr(agent, "against", lambda: "")
    assert agent.look({})["from"] == "198.51.100.7"
    monkeypatch.setattr(agent.sys, "argv", ["-", ""])
    assert agent.look({})["from"] == ""


def test_what_a_host_lacks_is_installed_once_another_apt_lets_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner's own upgrades stay as they are; they are waited for."""
    ran: list[list[str]] = []

    def run(command: list[str], *_: Any, **__: Any) -> None:
        ran.append(command)
        if len(ran) == 1:
            raise agent.Refused("apt-get: E: Unable to lock directory /var/lib/apt/lists/")

    monkeypatch.setattr(agent, "run", run)
    monkeypatch.setattr(agent.time, "sleep", lambda _: None)
    monkeypatch.setattr(agent, "matching", lambda pattern: [Path(pattern)] if "sudo" in pattern else [])
    agent.install_needed({"/usr/bin/sudo": "sudo", "/usr/sbin/nft": "nftables"})
    assert [command[-1] for command in ran] == ["update", "update", "nftables"]
    assert all(f"DPkg::Lock::Timeout={agent.APT_LOCK_S}" in command for command in ran)
    assert not [word for command in ran for word in command if "systemctl" in word]
    ran.clear()
    agent.install_needed({"/usr/bin/sudo": "sudo"})
    assert ran == []


def test_other_failures_of_apt_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: Any) -> None:
        raise agent.Refused("apt-get: E: no network")

    monkeypatch.setattr(agent, "run", run)
    monkeypatch.setattr(agent, "matching", lambda _: [])
    with pytest.raises(agent.Refused, match="no network"):
        agent.install_needed({"/usr/sbin/nft": "nftables"})


def test_a_host_is_told_what_it_needs(spec, world, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Mapping[str, Any]] = []
    ask = Host.ask

    def asking(one: Host, verb: str, request: Mapping[str, Any] | None = None, **more: Any) -> Any:
        given.extend([request] if verb == "prepare" and request else [])
        return ask(one, verb, request, **more)

    monkeypatch.setattr(Host, "ask", asking)
    existing(spec).create(request(spec))
    assert [one["needed"] for one in given] == [NEEDED]


def destinations(value: Any) -> list[str]:
    """All `dest` in tasks of a role."""
    if isinstance(value, list):
        return list(itertools.chain.from_iterable(map(destinations, value)))
    if isinstance(value, dict):
        own = [value["dest"]] if isinstance(value.get("dest"), str) else []
        return own + list(itertools.chain.from_iterable(map(destinations, value.values())))
    return []


def test_all_that_roles_put_on_a_host_is_taken_back() -> None:
    units = [f"/etc/systemd/system/{pattern}" for pattern in (*agent.UNITS, "*.wants/muster-*")]
    folders = [
        "/etc/muster",
        "/home/hadoop",
        "/home/muster",
        *(f"/data/{name}" for name in agent.OURS_IN_DATA),
    ]
    known = [*agent.PATHS, *units, *folders]
    elsewhere = ("nvidia", "object_store")  # roles that no host of the user's gets
    files = [
        path for role in ROLES.iterdir() if role.name not in elsewhere for path in role.glob("tasks/*.yml")
    ]
    found = {
        name for path in files for name in destinations(yaml.safe_load(path.read_text())) if name[0] == "/"
    }
    assert len(found) > 40
    left = {name for name in found if not any(matches(name, pattern) for pattern in known)}
    assert left == {"/etc/hosts"}, "of /etc/hosts only what stands between the marks is ours"


def matches(name: str, pattern: str) -> bool:
    return any(str(place) == name for place in [name] if Path(place).match(pattern)) or any(
        parent.match(pattern) for parent in Path(name).parents if str(parent) != "/"
    )


@pytest.mark.parametrize(
    ("settings", "fine"),
    [
        ("Include /etc/ssh/sshd_config.d/*.conf\nUsePAM yes\n", True),
        ("UsePAM yes\n  include /etc/ssh/mine /etc/ssh/sshd_config.d/*.conf\n", True),
        ("#Include /etc/ssh/sshd_config.d/*.conf\n", False),
        ("UsePAM yes\n", False),
    ],
)
def test_a_host_whose_sshd_would_look_for_our_keys_in_homes_is_refused(settings: str, fine: bool) -> None:
    assert bool(agent.INCLUDES.search(settings)) is fine
