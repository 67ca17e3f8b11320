"""The notebook seen from here: what a master's answer becomes."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest

from muster_node.notebook import keys
from provision.core.errors import CommandFailed, MusterError
from provision.core.features import require
from provision.services import notebook

AUTHORITY = keys.make("pond-master", datetime.datetime.now(datetime.UTC)).authority.decode()
TOLD = {
    "engines": ["pond-worker-1_1_0a", "pond-worker-1_2_0b", "pond-worker-2_1_0c"],
    "wished": {"pond-worker-1": 2, "pond-worker-2": 2},
    "key": "k" * 64,
    "public": "p" * 40,
}


def answering(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(notebook, "run_on", lambda *_, **__: text)


def test_not_switched_on_is_one_line_that_says_how() -> None:
    with pytest.raises(MusterError, match=r"features: \[notebook\]") as caught:
        require("notebook", ("tracking",), "pond.yml")
    assert "\n" not in str(caught.value)
    require("notebook", ("tracking", "notebook"), "pond.yml")


def test_the_address_has_the_token_and_the_fingerprint_is_as_browsers_show_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answering(monkeypatch, f"{AUTHORITY}\n0123abcd")
    found = notebook.door(tmp_path, "pond-master")
    assert found.address(8888) == "https://127.0.0.1:8888/lab?token=0123abcd"
    assert len(found.fingerprint.split(":")) == 32
    assert "0123abcd" not in repr(found)


@pytest.mark.parametrize("text", ["", "\n\n", f"{AUTHORITY}\n", f"{AUTHORITY}\nx&y=1 z"])
def test_an_answer_that_is_none_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str
) -> None:
    answering(monkeypatch, text)
    with pytest.raises(MusterError, match="does not answer"):
        notebook.door(tmp_path, "pond-master")


def test_engines_that_have_not_joined_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    answering(monkeypatch, json.dumps(TOLD))
    assert notebook.engines(tmp_path, "pond-master").lacking == "1 of 2 on pond-worker-2"


def test_a_connection_file_takes_only_keys_from_a_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answering(monkeypatch, json.dumps({**TOLD, "pack": "os.system", "ssh": "me@elsewhere"}))
    path = tmp_path / "engines.json"
    notebook.connection_file(path, notebook.engines(tmp_path, "pond-master"), {"registration": 40001})
    found = json.loads(path.read_text())
    assert (found["ssh"], found["pack"], found["interface"]) == ("", "json", "tcp://127.0.0.1")
    assert (found["key"], found["curve_serverkey"]) == (TOLD["key"], TOLD["public"])
    assert path.stat().st_mode & 0o077 == 0


def test_a_master_without_it_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(*_: object, **__: object) -> str:
        raise CommandFailed(what="no such file", where="pond-master")

    monkeypatch.setattr(notebook, "run_on", fail)
    with pytest.raises(MusterError, match=r"Run \./muster up"):
        notebook.engines(tmp_path, "pond-master")
