"""What a record says of where its run comes from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from muster_node.queue import provenance

KATIE, OWN = "ssh-ed25519 AAAAC3Nza-katie", "ssh-ed25519 AAAAC3Nza-own"


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "hadoop").write_text(f"{OWN} muster-pond\n{KATIE} access:katie\n")
    queue = f'restrict,command="x" {OWN} muster-queue\n'
    (tmp_path / "keys" / "hadoop.queue").write_text(queue)
    monkeypatch.setattr(provenance, "KEYS", tmp_path / "keys")
    return tmp_path


@pytest.mark.parametrize(
    ("used", "who"), [(KATIE, "katie"), (OWN, "muster-pond"), ("ssh-ed25519 AAAA-other", "")]
)
def test_the_sender_is_whose_key_has_opened_the_session(
    keys: Path, monkeypatch: pytest.MonkeyPatch, used: str, who: str
) -> None:
    (keys / "auth").write_text(f"publickey {used}\n")
    monkeypatch.setenv("SSH_USER_AUTH", str(keys / "auth"))
    assert provenance.sender() == who


def test_without_a_session_nobody_is_named(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_USER_AUTH", raising=False)
    assert provenance.sender() == ""


def test_a_digest_is_of_names_and_contents(tmp_path: Path) -> None:
    assert provenance.digest(tmp_path) == ""
    (tmp_path / "a").write_text("1")
    first = provenance.digest(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    second = provenance.digest(tmp_path)
    (tmp_path / "b").write_text("2")
    assert len({first, second, provenance.digest(tmp_path)}) == 3
    (tmp_path / "b").write_text("1")
    (tmp_path / "b").rename(tmp_path / "a")
    assert provenance.digest(tmp_path) == first


def test_packages_of_the_run_itself_come_first(tmp_path: Path) -> None:
    info = tmp_path / "site" / "pytest-0.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pytest\nVersion: 0.1\n")
    assert provenance.packages(tmp_path) == {}
    provenance.note_packages(tmp_path, [str(tmp_path / "site")])
    found = provenance.packages(tmp_path)
    assert found["pytest"] == "0.1" and "ruff" in found
    (tmp_path / provenance.PACKAGES).write_text(json.dumps(["x"]))
    assert provenance.packages(tmp_path) == {}
