"""Users' files: starters once, copies in the store, nothing overwritten."""

from __future__ import annotations

from pathlib import Path

import pytest

from muster_node.notebook import files
from muster_node.stores.base import Settings, Store
from muster_node.stores.open import open_store

PREFIX = "notebooks/pond/"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    folder = tmp_path / "store"
    folder.mkdir()
    return open_store(Settings(f"file://{folder}", "", "", "muster", kind="folder"))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    found = tmp_path / "home"
    found.mkdir()
    return found


@pytest.fixture
def starters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    found = tmp_path / "starters"
    found.mkdir()
    (found / "train.ipynb").write_text("{}")
    monkeypatch.setattr(files, "STARTERS", found)
    return found


def test_a_starter_comes_once_and_what_a_user_does_with_it_stays(home: Path, starters: Path) -> None:
    files.prepare(home, PREFIX, None)
    (home / "train.ipynb").write_text('{"mine": 1}')
    (starters / "compare.ipynb").write_text("{}")
    files.prepare(home, PREFIX, None)
    assert (home / "train.ipynb").read_text() == '{"mine": 1}'
    (home / "compare.ipynb").unlink()
    files.prepare(home, PREFIX, None)
    assert not (home / "compare.ipynb").exists()


def test_a_new_disk_gets_what_was_saved(home: Path, starters: Path, store: Store, tmp_path: Path) -> None:
    files.prepare(home, PREFIX, store)
    (home / "train.ipynb").write_text('{"mine": 1}')
    (home / "deep" / "er").mkdir(parents=True)
    (home / "deep" / "er" / "notes.txt").write_text("what I saw")
    assert files.save(home, PREFIX, store) == 2
    assert files.save(home, PREFIX, store) == 0
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    files.prepare(fresh, PREFIX, store)
    assert (fresh / "train.ipynb").read_text() == '{"mine": 1}'
    assert (fresh / "deep/er/notes.txt").read_text() == "what I saw"


def test_what_was_deleted_here_does_not_come_back(home: Path, starters: Path, store: Store) -> None:
    files.prepare(home, PREFIX, store)
    (home / "notes.txt").write_text("x")
    files.save(home, PREFIX, store)
    (home / "notes.txt").unlink()
    files.prepare(home, PREFIX, store)
    assert not (home / "notes.txt").exists()


def test_a_change_of_the_same_length_is_saved(home: Path, store: Store) -> None:
    (home / "notes.txt").write_text("a")
    files.save(home, PREFIX, store)
    (home / "notes.txt").write_text("b")
    assert files.save(home, PREFIX, store) == 1
    assert store.get(f"{PREFIX}notes.txt") == b"b"


def test_hidden_files_and_links_stay_here(home: Path, store: Store, tmp_path: Path) -> None:
    (home / ".ipynb_checkpoints").mkdir()
    (home / ".ipynb_checkpoints" / "train.ipynb").write_text("{}")
    (tmp_path / "secret").write_text("x")
    (home / "link").symlink_to(tmp_path / "secret")
    assert files.save(home, PREFIX, store) == 0


def test_no_name_in_the_store_leads_out_of_the_folder(home: Path, store: Store, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (home / "out").symlink_to(tmp_path / "other")
    store.put(f"{PREFIX}out/x", b"x")
    assert files.bring_back(home, store, PREFIX) == 0
    assert not list((tmp_path / "other").iterdir())
