"""What controller, engines and clients know of each other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from muster_node.engines.settings import (
    CLIENT_PORTS,
    ENGINE_PORTS,
    INTERNAL_PORTS,
    REGISTRATION,
    Settings,
    machine_of,
    name_of,
)

KEYS = {"key": "k" * 64, "public": "p" * 40}


def test_no_port_is_given_twice() -> None:
    ports = [REGISTRATION, *ENGINE_PORTS, *CLIENT_PORTS.values(), *INTERNAL_PORTS]
    assert len(set(ports)) == len(ports)


def test_engines_come_by_the_private_address_and_clients_by_loopback(tmp_path: Path) -> None:
    path = tmp_path / "engines.json"
    path.write_text(json.dumps({"controller": "10.0.0.1", "node": "pond-worker-1", "engines": 2, **KEYS}))
    settings = Settings.load(path)
    engine, client = settings.for_engines(), settings.for_clients({"registration": 40001})
    assert engine["interface"] == "tcp://10.0.0.1"
    assert engine["registration"] == REGISTRATION
    assert {engine["control"], *engine["broadcast"]} <= set(ENGINE_PORTS)
    assert client["interface"] == "tcp://127.0.0.1"
    assert client["location"] == "127.0.0.1"
    assert client["registration"] == 40001
    assert {one["curve_serverkey"] for one in (engine, client)} == {KEYS["public"]}
    assert {one["key"] for one in (engine, client)} == {KEYS["key"]}


@pytest.mark.parametrize("machine", ["pond-master", "a-b-worker-12"])
def test_the_name_of_an_engine_tells_its_machine(machine: str) -> None:
    name = name_of(machine, 2, "0123abcd")
    assert machine_of(name) == machine
    assert name.replace("-", "").replace("_", "").isalnum()  # part of the names of variables


def test_keys_are_not_shown() -> None:
    settings = Settings("10.0.0.1", "pond-master", 0, **KEYS, secret="s" * 40)
    assert not any(secret in repr(settings) for secret in ("k" * 64, "p" * 40, "s" * 40))
