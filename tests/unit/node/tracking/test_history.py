"""MLflow's database in an object store: saved, gone on from, and never another cluster's lost."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from muster_node.stores.folder import FolderStore
from muster_node.tracking.history import ARTIFACTS, PREFIX, History, State, choose
from muster_node.tracking.settings import Settings, Untracked

BEFORE, NOW, LATER = "0584bdc529eb", "dc11669786a5", "ffff00000000"
"""Revisions of MLflow's schema."""
MLFLOW = """\
#!{python}
import sqlite3, sys
*_, db, upgrade, url = sys.argv
assert (db, upgrade) == ("db", "upgrade")
if {broken}:
    sys.exit("MigrationError: no such table: experiments")
with sqlite3.connect(url.removeprefix("sqlite:///")) as database:
    database.execute("UPDATE alembic_version SET version_num = '{now}'")
    database.execute("ALTER TABLE runs ADD COLUMN upgraded TEXT")
"""
"""Stands for the Python of an MLflow that upgrades."""


def mark(database: sqlite3.Connection, revision: str) -> None:
    """Give a database the mark of a schema, as alembic does."""
    with database:
        database.execute("CREATE TABLE IF NOT EXISTS alembic_version (version_num TEXT)")
        database.execute("DELETE FROM alembic_version")
        database.execute("INSERT INTO alembic_version VALUES (?)", (revision,))


def install(root: Path, *, broken: bool = False) -> None:
    """Put an MLflow there that knows the steps from BEFORE to NOW."""
    steps = (
        root
        / "mlflow"
        / "lib"
        / "python3.13"
        / "site-packages"
        / "mlflow"
        / "store"
        / "db_migrations"
        / "versions"
    )
    steps.mkdir(parents=True)
    for each in (BEFORE, NOW):
        (steps / f"{each}_a_step.py").touch()
    python = root / "mlflow" / "bin" / "python"
    python.parent.mkdir()
    python.write_text(MLFLOW.format(python=sys.executable, now=NOW, broken=broken))
    python.chmod(0o755)


class Cluster:
    """One cluster's database."""

    def __init__(self, root: Path, name: str, id: str, *, store: str = "s3") -> None:
        self.folder = root / f"{name}-{id}"
        self.folder.mkdir()
        empty = root / "empty.db"
        with closing(sqlite3.connect(empty)) as made:
            made.execute("CREATE TABLE IF NOT EXISTS runs (name TEXT)")
            mark(made, NOW)
        settings = Settings("http://x", "jobs", "x", name, id, store)
        self.history = History(settings, self.folder, empty, root / "mlflow")

    def add(self, run: str) -> None:
        with closing(sqlite3.connect(self.folder / "mlflow.db")) as database, database:
            database.execute("INSERT INTO runs VALUES (?)", (run,))

    @property
    def runs(self) -> list[str]:
        with closing(sqlite3.connect(self.folder / "mlflow.db")) as database:
            return [name for (name,) in database.execute("SELECT name FROM runs")]


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    (tmp_path / "store").mkdir()
    return FolderStore.at(tmp_path / "store")


def test_the_next_cluster_goes_on(tmp_path: Path, store: FolderStore) -> None:
    first = Cluster(tmp_path, "pond", "1")
    assert first.history.restore(store) == (True, [])
    first.add("a")
    assert first.history.save(store, "3.17.2")
    second = Cluster(tmp_path, "lake", "2")
    done, (note,) = second.history.restore(store)
    assert done and note.startswith("tracking goes on from 1 runs of pond, saved ")
    assert second.runs == ["a"]


def test_a_database_that_is_there_stays(tmp_path: Path, store: FolderStore) -> None:
    one = Cluster(tmp_path, "pond", "1")
    one.history.restore(store)
    one.add("a")
    assert one.history.restore(store) == (False, [])
    assert one.runs == ["a"]


def test_what_has_not_changed_is_not_sent_again(tmp_path: Path, store: FolderStore) -> None:
    one = Cluster(tmp_path, "pond", "1")
    one.history.restore(store)
    assert [one.history.save(store, ""), one.history.save(store, "")] == [True, False]
    one.add("a")
    assert one.history.save(store, "")


def test_two_clusters_at_once_lose_nothing_and_the_next_names_both(
    tmp_path: Path, store: FolderStore
) -> None:
    before = Cluster(tmp_path, "old", "0")
    before.history.restore(store)
    before.add("old")
    before.history.save(store, "")
    one, other = Cluster(tmp_path, "pond", "1"), Cluster(tmp_path, "lake", "2")
    for cluster, run in ((one, "a"), (other, "b")):
        cluster.history.restore(store)
        cluster.add(run)
    for cluster in (one, other):
        cluster.history.save(store, "")
    third = Cluster(tmp_path, "pond", "3")
    _, notes = third.history.restore(store)
    assert third.runs == ["old", "a"]  # its own name's
    assert [note.partition(", saved")[0] for note in notes] == [
        "tracking goes on from 2 runs of pond", "tracking: not in this history: 2 runs of lake",
    ]  # fmt: skip
    assert {key for key, _ in store.names(PREFIX) if key.endswith(".xz")} == {
        f"{PREFIX}{name}.db.xz" for name in ("old-0", "pond-1", "lake-2")
    }


def test_a_cluster_whose_disk_is_lost_goes_on_from_its_own_history() -> None:
    own = State("pond-1", "pond", 5.0, 3, "", ("old-0",))
    newer = State("pond-2", "pond", 9.0, 4, "", ("pond-1",))
    assert choose([newer, own], "pond", "pond-1") == (own, [newer])
    assert choose([newer, own], "pond", "pond-3") == (newer, [])


def test_artifacts_come_along_where_mlflow_cannot_reach_the_store(tmp_path: Path, store: FolderStore) -> None:
    one = Cluster(tmp_path, "pond", "1", store="swift")
    one.history.restore(store)
    picture = one.folder / "artifacts" / "1" / "run" / "worst.png"
    picture.parent.mkdir(parents=True)
    picture.write_bytes(b"png")
    one.history.save(store, "")
    assert [key for key, _ in store.names(ARTIFACTS)] == [f"{ARTIFACTS}1/run/worst.png"]
    other = Cluster(tmp_path, "lake", "2", store="swift")
    other.history.restore(store)
    assert (other.folder / "artifacts" / "1" / "run" / "worst.png").read_bytes() == b"png"


def test_without_a_store_a_history_begins_empty(tmp_path: Path) -> None:
    one = Cluster(tmp_path, "pond", "1", store="none")
    assert one.history.restore(None) == (True, [])
    assert one.runs == []


def left(tmp_path: Path, store: FolderStore, revision: str, version: str) -> Cluster:
    """Leave a history of another schema in the store; return the next cluster."""
    first = Cluster(tmp_path, "pond", "1")
    first.history.restore(store)
    first.add("a")
    with closing(sqlite3.connect(first.folder / "mlflow.db")) as database:
        mark(database, revision)
    first.history.save(store, version)
    return Cluster(tmp_path, "lake", "2")


def test_a_history_of_an_older_schema_is_upgraded_before_anybody_has_it(
    tmp_path: Path, store: FolderStore
) -> None:
    install(tmp_path)
    second = left(tmp_path, store, BEFORE, "2.20.0")
    done, notes = second.history.restore(store)
    assert done and notes[1:] == ["tracking: its database was that of MLflow 2.20.0, and is upgraded"]
    with closing(sqlite3.connect(second.folder / "mlflow.db")) as database:
        assert database.execute("SELECT * FROM runs").fetchall() == [("a", None)]
        assert database.execute("SELECT version_num FROM alembic_version").fetchall() == [(NOW,)]
    assert store.get(f"{PREFIX}pond-1.json"), "what it went on from stays as it is"
    second.history.save(store, "3.17.2")
    assert len(Cluster(tmp_path, "lake", "3").history.restore(store)[1]) == 1, "it is upgraded once"


def test_a_newer_schema_is_refused_with_the_version_that_made_it(tmp_path: Path, store: FolderStore) -> None:
    install(tmp_path)
    second = left(tmp_path, store, LATER, "4.0.0")
    with pytest.raises(Untracked, match=r"^the history was made by MLflow 4\.0\.0, whose database the older one here "
                       r"cannot read: update Muster, then run ./muster up$"):  # fmt: skip
        second.history.restore(store)
    assert not (second.folder / "mlflow.db").exists(), "the server finds nothing that it would break"


def test_an_upgrade_that_fails_leaves_no_database(tmp_path: Path, store: FolderStore) -> None:
    install(tmp_path, broken=True)
    second = left(tmp_path, store, BEFORE, "2.20.0")
    with pytest.raises(Untracked, match="cannot upgrade .*: MigrationError: no such table: experiments$"):
        second.history.restore(store)
    assert not (second.folder / "mlflow.db").exists()


@pytest.mark.parametrize("revision", ["../../etc", "", "x" * 12])
def test_what_is_no_revision_is_no_database_of_mlflows(
    tmp_path: Path, store: FolderStore, revision: str
) -> None:
    install(tmp_path)
    with pytest.raises(Untracked, match="is no database of MLflow"):
        left(tmp_path, store, revision, "2.20.0").history.restore(store)
