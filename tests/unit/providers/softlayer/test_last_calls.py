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
from provision.providers.facts import to_cancel
from provision.providers.softlayer import last_calls
from provision.providers.softlayer.config import SoftLayerBlock
from provision.providers.softlayer.facts import FACTS
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
    wished = spec(blocks=(SoftLayerBlock(self_cancel=True),))
    wished = replace(
        wished, groups=tuple(group(each.name, each.count, provider="softlayer") for each in wished.groups)
    )
    machines = [machine("c-master", id="1"), machine("c-worker-1", id="2"), machine("c-worker-2", id="3")]
    calls = last_calls.requests(
        to_cancel(wished, machines, "master")["softlayer"], "canceller", "k&<y", endpoint
    )
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
        json.dumps(last_calls.requests(["1"], "u", "k", "http://127.0.0.1:9"))
    )
    monkeypatch.setattr(program, "DEADLINE_S", 0.0)
    assert program.main(tmp_path / "calls.json") == 1
    said = capsys.readouterr().err
    assert "cancel guest 1: " in said
    assert "apiKey" not in said


def test_nothing_is_cancelled_unasked_or_elsewhere() -> None:
    groups = (group("master", 1, provider="softlayer"), group("gpu", 1, provider="ec2"))
    mixed = replace(spec(blocks=(SoftLayerBlock(self_cancel=True),)), groups=groups)
    machines = [machine("c-master", id="1"), machine("c-gpu-1", id="i-2")]
    assert to_cancel(mixed, machines, "master") == {"softlayer": ["1"]}
    assert to_cancel(replace(mixed, blocks=()), machines, "master") == {}


def test_a_key_that_is_missing_is_told_before_anything_is_made() -> None:
    wished = spec(blocks=(SoftLayerBlock(self_cancel=True),))
    with pytest.raises(NotReady, match="no softlayer_cancel_api_key. Put them into group_vars/all/vault.yml"):
        FACTS.check_cancel(wished, ["softlayer_cancel_username"])
    FACTS.check_cancel(wished, last_calls.KEY)
    FACTS.check_cancel(spec(), [])


def test_ansibles_own_strings_become_plain_ones() -> None:
    """They carry tags, which XML-RPC refuses to write."""
    tag = trust_as_template
    (call,) = cancel_calls(
        {"softlayer": [tag("12")]},
        {
            tag("softlayer_cancel_username"): tag("canceller"),
            tag("softlayer_cancel_api_key"): tag("key"),
            tag("softlayer_cancel_endpoint"): tag("http://127.0.0.1:9"),
        },
    )
    ((told,), method) = xmlrpc.client.loads(call["body"])
    assert method == "deleteObject"
    assert told["headers"]["authenticate"] == {"username": "canceller", "apiKey": "key"}


def test_without_settings_of_the_client_it_is_the_public_endpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Credentials that come from the environment name no endpoint."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SL_USERNAME", "u")
    monkeypatch.setenv("SL_API_KEY", "k")
    (call,) = last_calls.requests(["1"], "u", "k")
    assert call["url"] == "https://api.softlayer.com/xmlrpc/v3.1/SoftLayer_Virtual_Guest"
