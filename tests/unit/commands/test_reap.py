"""stop, extend and reap, as typed."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from provision import cli, providers
from provision.commands import reap
from provision.core.errors import ProviderError
from tests.fakes.provider import FakeProvider, World, cluster

CONFIG = "plugin: cluster\ncluster: retina\nnodes: 3\n"


@pytest.fixture
def inventory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("MUSTER_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(reap, "PROJECT", tmp_path)  # its inventories alone
    path = tmp_path / "retina.yml"
    path.write_text(CONFIG)
    return str(path)


@pytest.fixture
def world(inventory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Three machines whose state was lost, and nothing asks about local stores of this computer."""
    made = World()
    cluster(made, tmp_path).ensure()
    (tmp_path / "state").rename(tmp_path / "lost")
    monkeypatch.setattr(providers, "load", lambda _name, wished, _notes: FakeProvider(made, wished))
    monkeypatch.setattr("provision.providers.local.stores.store_close", lambda *_: None)
    return made


def told(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = cli.main(words)
    said = capsys.readouterr()
    return status, said.out, said.err


def test_no_duration(inventory: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, said = told(capsys, "-i", inventory, "extend", "soon")
    assert status == 2
    assert "'soon' is no duration; write it like 30m, 4h or 1d" in " ".join(said.split()).replace(
        " │ │ ", " "
    )


def test_what_is_not_started_has_nothing_to_stop(inventory: str, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["stop"], ["extend", "4h"]):
        status, _, said = told(capsys, "-i", inventory, *command)
        assert (status, said) == (
            1, "muster: retina: this cluster has not been started. Run start_cluster.yml first\n",
        )  # fmt: skip


def test_reap_shows_asks_and_deletes(
    world: World, inventory: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, answer, said = told(capsys, "-i", inventory, "reap", "--dry-run", "--json")
    assert status == 0
    assert "retina on local, no cluster of this clone any more: retina-master, retina-worker-1" in said
    (shown,) = json.loads(answer)
    assert (shown["deleted"], len(shown["machines"]), shown["deadline"]) == (False, 3, None)
    status, _, said = told(capsys, "-i", inventory, "reap")
    assert status == 1
    assert "there is no terminal to ask on. Say --yes" in said
    assert len(world.machines) == 3
    assert told(capsys, "-i", inventory, "reap", "--yes", "other") == (
        0,
        "",
        "Nothing has outlived its time.\n",
    )
    status, answer, _ = told(capsys, "-i", inventory, "reap", "--yes", "--json")
    assert (status, json.loads(answer)[0]["deleted"], world.machines) == (0, True, {})


def test_a_provider_that_does_not_answer_hides_no_other(
    world: World, inventory: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent() -> None:
        raise ProviderError(provider="local", what="no answer")

    monkeypatch.setattr(providers, "load", lambda *_: SimpleNamespace(everything=silent))
    status, _, said = told(capsys, "-i", inventory, "reap", "--yes")
    assert "left out: local (retina.yml) was not asked: " in said
    assert status == 1, "cron must hear of it"


def test_what_stays_is_an_error(
    world: World, inventory: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise ProviderError(provider="local", what="not today")

    monkeypatch.setattr(FakeProvider, "delete", refused)
    status, answer, said = told(capsys, "-i", inventory, "reap", "--yes", "--json")
    assert status == 1
    assert json.loads(answer)[0]["error"]
    assert "1 of 1 cluster(s) are still there; the first one: " in said
