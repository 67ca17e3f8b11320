"""Clusters for the tests. One of three nodes is shared by all tests that leave it as they found it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from provision.core import files
from provision.core.paths import PROJECT
from provision.images import cache
from provision.providers.local.stores import store_remove
from tests.names import MARK
from tests.system.clouds import ACCOUNTS, Account
from tests.system.lab import Lab, registry
from tests.system.leftovers import alone, nothing_left


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs real machines, so that `-m "not system"` leaves it out."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.system)


@pytest.fixture(scope="session", autouse=True)
def _alone() -> Iterator[None]:
    """Take away first what killed runs left: their machines hold memory that this run needs."""
    with alone(files.private_folder(cache.cache_folder(), readable=True) / "tests.lock"):
        yield


@pytest.fixture(scope="session")
def store() -> Iterator[str]:
    """The name of an object store of this session's own; it is deleted with its data at the end."""
    name = f"{MARK}{secrets.token_hex(2)}"
    yield name
    if name in registry()["stores"]:
        store_remove(name)


class Labs:
    """Makes clusters, and takes them away whatever happened."""

    def __init__(self, folder: Path, store: str) -> None:
        self._folder = folder
        self._store = store
        self._made: list[Lab] = []

    def __call__(self, **keys: Any) -> Lab:
        keys.setdefault("store", self._store)
        lab = Lab(self._folder / f"lab{len(self._made)}", **keys)
        self._made.append(lab)
        return lab

    def close(self) -> None:
        """Destroy what is still there, and remove the results that its jobs have brought home."""
        for lab in self._made:
            if lab.state_dir.exists() or lab.machines():
                lab.destroy()
            lab.drop_results()


@pytest.fixture
def labs(tmp_path: Path, store: str) -> Iterator[Callable[..., Lab]]:
    """Makes clusters for one test: `labs(nodes=1)`. They do not exist before a command is run on them."""
    made = Labs(tmp_path, store)
    yield made
    made.close()


@pytest.fixture
def small(labs: Callable[..., Lab]) -> Lab:
    """A cluster of one small node, for what needs machines but no services."""
    return labs(nodes=1, groups={"master": {"cores": 1, "memory_gb": 3, "data_disk_gb": 1}})


@pytest.fixture(params=sorted(ACCOUNTS))
def account(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Account]:
    """An account of the test's own at each emulated cloud, with real machines behind it."""
    with ACCOUNTS[request.param](tmp_path / request.param) as made:
        yield made


@pytest.fixture(params=sorted(ACCOUNTS))
def bare_account(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Account]:
    """One that has no image but the official ones: everything is installed on its machines."""
    with ACCOUNTS[request.param](tmp_path / request.param, baked=False) as made:
        yield made


@pytest.fixture
def leftovers() -> Callable[..., Any]:
    """Return the context manager `leftovers(lab, …)`, which asserts that the block leaves nothing."""
    return lambda *labs, **keys: nothing_left(labs, **keys)


@contextmanager
def running(folder: Path, store: str, **keys: Any) -> Iterator[Lab]:
    """Give a cluster with services up and the digits at 16x16 in HDFS."""
    made = Labs(folder, store)
    lab = made(**keys)
    try:
        lab.up(size=16)
        yield lab
    finally:
        made.close()


@pytest.fixture(scope="session")
def _shared(tmp_path_factory: pytest.TempPathFactory, store: str) -> Iterator[Lab]:
    with running(tmp_path_factory.mktemp("ready"), store) as lab:
        yield lab


@pytest.fixture(scope="module")
def two_nodes(tmp_path_factory: pytest.TempPathFactory, store: str) -> Iterator[Lab]:
    """A cluster of two nodes for the tests of one module, with the digits at 16x16 in HDFS."""
    with running(tmp_path_factory.mktemp("pair"), store, nodes=2) as lab:
        yield lab


@pytest.fixture
def ready(_shared: Lab) -> Lab:
    """The shared cluster of three nodes with services up and the digits at 16x16 in HDFS."""
    return _shared


@pytest.fixture(scope="session")
def photographs() -> Path:
    """A folder of real photographs of eyes; never part of the project."""
    given = os.environ.get("MUSTER_TEST_PHOTOGRAPHS", "")
    folder = Path(given) if given else PROJECT.parent / "shared" / "data" / "fundus"
    if not list(folder.glob("*.jpeg")):
        pytest.skip(f"no photographs in {folder} (MUSTER_TEST_PHOTOGRAPHS names another folder)")
    return folder
