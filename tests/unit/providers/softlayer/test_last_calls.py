"""The master's last requests: rendered for the provider's own protocol, repeated until they are answered."""

from __future__ import annotations

import json
import threading
import xmlrpc.client
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xmlrpc.server import SimpleXMLRPCRequestHandler, SimpleXMLRPCServer

import pytest
from ansible.template import trust_as_template

from muster_node import last_calls as program
from provision.core.errors import NotReady
from provision.plugins.filter.last_calls import cancel_calls
from provision.providers.softlayer import last_calls
from tests.fakes.provider import group, machine, spec


class Anywhere(SimpleXMLRPCRequestHandler):
    rpc_paths = ()


class Account:
    """Guests of an account; one of them has a transaction under way at first."""

    def __init__(self) -> None:
        self.guests = {1, 2, 3}
        self.order: list[int] = []
        self.busy = {2}

    def delete(self, told: dict) -> bool:
        headers = told["headers"]
        assert headers["authenticate"] == {"username": "canceller", "apiKey": "k&<y"}
        guest = headers["SoftLayer_Virtual_GuestInitParameters"]["id"]
        if guest in self.busy:
            self.busy.discard(guest)
            raise xmlrpc.client.Fault("SoftLayer_Exception_Public", "active transaction")
        if guest not in self.guests:
            raise xmlrpc.client.Fault("SoftLayer_Exception_ObjectNotFound", "Unable to find object")
        self.guests.discard(guest)
        self.order.append(guest)
        return True


@pytest.fixture
def account() -> Iterator[tuple[Account, str]]:
    server = SimpleXMLRPCServer(("127.0.0.1", 0), requestHandler=Anywhere, logRequests=False, allow_none=True)
    account = Account()
    server.register_function(account.delete, "deleteObject")
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield account, f"http://127.0.0.1:{server.server_address[1]}/xmlrpc/v3.1"
    server.shutdown()
    server.server_close()


def test_all_machines_are_cancelled_the_masters_own_last(
    account: tuple[Account, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    books, endpoint = account
    wished = spec(softlayer={"self_cancel": True})
    wished = replace(wished, groups=tuple(replace(each, provider="softlayer") for each in wished.groups))
    machines = [machine("c-master", id="1"), machine("c-worker-1", id="2"), machine("c-worker-2", id="3")]
    calls = last_calls.softlayer(last_calls.to_cancel(wished, machines), "canceller", "k&<y", endpoint)
    (tmp_path / "calls.json").write_text(json.dumps(calls))
    monkeypatch.setattr(program, "PAUSE_S", 0.01)
    assert program.main(tmp_path / "calls.json") == 0
    assert books.order == [2, 3, 1]
    assert program.main(tmp_path / "calls.json") == 0, "what is gone already is no failure"
    assert program.main(tmp_path / "none.json") == 0


def test_what_is_never_answered_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "calls.json").write_text(
        json.dumps(last_calls.softlayer(["1"], "u", "k", "http://127.0.0.1:9"))
    )
    monkeypatch.setattr(program, "DEADLINE_S", 0.0)
    assert program.main(tmp_path / "calls.json") == 1
    said = capsys.readouterr().err
    assert "cancel guest 1: " in said
    assert "apiKey" not in said


def test_nothing_is_cancelled_unasked_or_elsewhere() -> None:
    groups = (group("master", 1, provider="softlayer"), group("gpu", 1, provider="ec2"))
    mixed = replace(spec(softlayer={"self_cancel": True}), groups=groups)
    machines = [machine("c-master", id="1"), machine("c-gpu-1", id="i-2")]
    assert last_calls.to_cancel(mixed, machines) == ["1"]
    assert last_calls.to_cancel(replace(mixed, options={}), machines) == []


def test_a_key_that_is_missing_is_told_before_anything_is_made() -> None:
    wished = spec(softlayer={"self_cancel": True})
    with pytest.raises(NotReady, match="no softlayer_cancel_api_key. Put them into group_vars/all/vault.yml"):
        last_calls.check(wished, ["softlayer_cancel_username"])
    last_calls.check(wished, last_calls.VAULT)
    last_calls.check(spec(), [])


def test_ansibles_own_strings_become_plain_ones() -> None:
    """They carry tags, which XML-RPC refuses to write."""
    tag = trust_as_template
    (call,) = cancel_calls([tag("12")], tag("canceller"), tag("key"), tag("http://127.0.0.1:9"))
    ((told,), method) = xmlrpc.client.loads(call["body"])
    assert method == "deleteObject"
    assert told["headers"]["authenticate"] == {"username": "canceller", "apiKey": "key"}
