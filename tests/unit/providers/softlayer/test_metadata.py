"""Every service, method, property of a mask, filter or order that the code names exists in the published API.

`sldn.json` is an extract of what softlayer-go was generated from, IBM's metadata of the API: of a type only the
properties that are named here, each with the type that it leads to.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provision.core.paths import PROJECT
from provision.planning.plan import make_plan
from provision.providers.softlayer.client import Api
from tests.emulators.softlayer import filters
from tests.fakes.softlayer import IDENTITY, Account

SLDN: dict[str, Any] = json.loads(Path(__file__).with_name("sldn.json").read_text())
METHOD = re.compile(r"(power(?=O)|get|create|delete|edit|set|add|remove|generate|verify)[A-Z]\w+")
PROPERTIES = ("createDate", "powerState")
"""Which look like methods."""
KEYS = {"softlayer": {"private_vlan": 42, "public_vlan": 43, "ssh_keys": "laptop"}}


@pytest.fixture
def calls(account: Account, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, tuple[Any, ...], Any]]:
    """Let a cluster live through all that the provider can do; return its calls."""
    made: list[tuple[str, str, tuple[Any, ...], Any]] = []
    real = Api.call

    def call(api: Api, service: str, method: str, *args: Any, **more: Any) -> Any:
        made.append((service, method, args, more))
        return real(api, service, method, *args, **more)

    monkeypatch.setattr(Api, "call", call)
    monkeypatch.setattr("provision.providers.softlayer.provider.SWITCH_S", 0.1)
    account.books.ssh_keys = [{"id": 7, "label": "laptop"}]
    account.emulator.add_image("muster-0011223344556677")
    provider, spec = account.provider(**KEYS), account.spec(**KEYS)
    provider.check_ready(spec, make_plan(spec, []))
    request = replace(account.request(2, **KEYS), ssh_from=("203.0.113.0/24",), image="0011223344556677")
    machines = provider.create(request)
    old = {"softlayer": {**KEYS["softlayer"], "startCpus": 2, "maxMemory": 4096}}
    request = replace(account.request(1, **old), token="a" * 16, names=("retina-worker-9",))
    account.provider(**old).create(request)
    provider.allow(IDENTITY, ["198.51.100.0/24"], only=True)
    account.emulator.fault("powerOffSoft", "SoftLayer_Exception_NotReady: not now", times=2)
    provider.stop(IDENTITY, machines)
    provider.start(IDENTITY, machines)
    provider.delete(IDENTITY, provider.list(IDENTITY))
    return made


def named(calls: list[tuple[str, str, tuple[Any, ...], Any]]) -> Iterator[tuple[str, list[str]]]:
    """Yield what calls name: a type, and a path of properties that begins there."""
    for service, method, args, more in calls:
        known = SLDN["services"][service][method]
        if "mask" in more:
            yield from ((known["gives"], path) for path in _paths(filters.parse(more["mask"])))
        if "filter" in more:
            yield from ((service, path) for path in _paths(_without_operations(more["filter"])))
        for arg in args:
            for each in arg if isinstance(arg, list) else [arg]:
                if isinstance(each, dict):
                    yield from ((known["takes"], path) for path in _paths(each))


def test_all_that_is_named_exists(calls: list[tuple[str, str, tuple[Any, ...], Any]]) -> None:
    assert {(service, method) for service, method, _, _ in calls} == {
        (service, method) for service, methods in SLDN["services"].items() for method in methods
    }
    for kind, path in named(calls):
        here = kind
        for name in path:
            assert name in SLDN["types"].get(here, {}), f"{here} has no {name} ({kind}: {'.'.join(path)})"
            here = SLDN["types"][here][name]


def test_no_method_is_left_out() -> None:
    known = {method for methods in SLDN["services"].values() for method in methods} | set(PROPERTIES)
    for source in (PROJECT / "provision" / "providers" / "softlayer").glob("*.py"):
        for node in ast.walk(ast.parse(source.read_text())):
            if (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and METHOD.fullmatch(node.value)
            ):
                assert node.value in known, f"{source.name}: {node.value}"


def _paths(tree: Any) -> Iterator[list[str]]:
    """Yield every path of names through dicts; lists are looked through."""
    if isinstance(tree, list):
        for each in tree:
            yield from _paths(each)
    elif isinstance(tree, Mapping):
        for name, below in tree.items():
            yield [name]
            yield from ([name, *path] for path in _paths(below))


def _without_operations(query: Mapping[str, Any]) -> dict[str, Any]:
    return {name: {} if "operation" in below else _without_operations(below) for name, below in query.items()}
