"""The way to a store's machine: one SSH connection, and no port of this computer."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from provision.core.errors import HostKeyMismatch, StoreError
from provision.core.model import ClusterIdentity
from provision.core.names import STORE_HOST, STORE_PORT
from provision.data.stores.keys import StoreKeys, record
from provision.data.stores.open import open_store
from provision.ssh import connection, tunnels
from provision.state.folder import Snapshot, State, Store
from tests.fakes.provider import OWN, spec
from tests.fakes.servers import Server, StoreHandler
from tests.fakes.sshd import Sshd, listening, make_key


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server(StoreHandler)
    yield made
    made.shutdown()


@pytest.fixture
def sshd(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sshd]:
    """The store's machine, whose server is at the name that it has there."""
    host, port = server.server_address[:2]
    made = Sshd(tmp_path, {(STORE_HOST, STORE_PORT): (str(host), port)})
    with listening(made) as ssh_port:
        monkeypatch.setattr(connection, "_PORT", ssh_port)
        yield made


@pytest.fixture
def state(tmp_path: Path, sshd: Sshd) -> State:
    made = State(tmp_path / "state" / "retina")
    made.begin(ClusterIdentity("retina", "0123abcd"))
    make_key(made.key_file)
    record(made.secrets, StoreKeys("key", "secret"))
    made.save(Snapshot((), Store("default", "127.0.0.1", sshd.host_key)))
    return made


def test_everything_goes_through_ssh_and_nothing_listens_here(
    state: State, server: Server, sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bind(*_: object) -> None:
        raise AssertionError("a port of this computer, which another user could take")

    large = tmp_path / "large"
    large.write_bytes(bytes(range(250)) * 300_000)  # more than boto3 sends at once
    monkeypatch.setattr(socket.socket, "bind", bind)
    with open_store(spec(), state) as store:
        for number in range(3):
            store.put(f"set/part {number}", b"x" * number)
        with large.open("rb") as source:
            store.upload("set/large", source, 75_000_000)
        assert [(item.key, item.bytes) for item in store.objects("set/")] == [
            ("set/large", 75_000_000), ("set/part 0", 0), ("set/part 1", 1), ("set/part 2", 2),
        ]  # fmt: skip
        assert store.get("set/part 2") == b"xx"
    with (
        pytest.raises(StoreError, match="the object store has no set/none"),
        open_store(spec(), state) as store,
    ):
        store.get("set/none")
    assert server.files["/muster/set/large"] == large.read_bytes()
    assert (sshd.connections, sshd.users) == (2, ["muster", "muster"])


def test_a_server_that_does_not_answer_is_one_line(
    state: State, sshd: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
    sshd.leads.clear()
    with pytest.raises(StoreError) as caught, open_store(spec(), state) as store:
        store.get("set/x")
    assert "the object store at http://object-store:8080 does not answer" in str(caught.value)
    assert str(caught.value).endswith("Run the same command again; what is there already is kept.")
    assert "\n" not in str(caught.value)


def test_a_machine_that_does_not_answer_is_one_line(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tunnels, "TO_STORE_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setattr(connection, "_PORT", listener.getsockname()[1])
    with pytest.raises(StoreError, match=r"^object-store: no way to the object store: .*its data is still"):
        open_store(spec(), state).__enter__()


def test_another_machine_in_its_place_gets_nothing(state: State, sshd: Sshd, server: Server) -> None:
    snapshot = state.load()
    assert snapshot.store
    state.save(replace(snapshot, store=replace(snapshot.store, host_key=OWN)))
    with pytest.raises(HostKeyMismatch):
        open_store(spec(), state).__enter__()
    assert not sshd.users and not server.requests


def test_a_store_that_is_not_running_is_one_line(state: State) -> None:
    state.save(Snapshot())
    with pytest.raises(StoreError, match="retina: the object store is not running"):
        open_store(spec(), state).__enter__()
