"""Sources on a web server and an object store, both on loopback, and what the job does but for Spark."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from muster_node import sets
from muster_node.ingest import dealing, journal, parts, pieces, web
from muster_node.ingest.ending import Ended, finish
from muster_node.ingest.opening import open_sources
from muster_node.ingest.request import BadSource, Request
from muster_node.stores.base import Settings
from tests.fakes.servers import Server, StoreHandler
from tests.fakes.web import WebServer

JPEG = b"\xff\xd8\xff\xe0"


def image(number: int, size: int = 5000) -> bytes:
    """Something that begins like a JPEG and packs badly."""
    return JPEG + hashlib.shake_128(str(number).encode()).digest(size)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Pauses between attempts are short."""
    monkeypatch.setattr(web, "BACKOFF_S", 0.01)
    monkeypatch.setattr(parts, "PAUSES_S", (0.01,) * 3)
    monkeypatch.setattr(journal, "STORE_S", 0.5)
    monkeypatch.setattr(journal, "STORE_PAUSE_S", 0.01)


@pytest.fixture
def server():
    made = WebServer()
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made = Server(StoreHandler)
    known = {"endpoint": made.url, "access_key": "a:b", "secret_key": "s", "container": "muster"}
    (tmp_path / "store.json").write_text(json.dumps(known))
    settings = Settings.load(tmp_path / "store.json")
    monkeypatch.setattr(Settings, "load", lambda: settings)
    yield made
    made.shutdown()
    made.server_close()


class Bringer:
    """Does what jobs/ingest/main.py does, in this process."""

    def __init__(self, store: Server, folder: Path) -> None:
        self.store = store
        self.results = folder / "results"
        self.here = folder / "code"
        self.results.mkdir()
        self.here.mkdir()

    def __call__(self, request: Request) -> Ended:
        """Bring it in."""
        opened = open_sources(request, self.here)
        if opened.ended:
            return opened.ended
        wrong = []
        for again in (False, True):
            if again and not (missed := opened.missed()):
                break
            work = opened.once_more(missed).pieces if again else opened.pieces
            per_host = request.urls.per_host if request.urls else 1
            for lane in dealing.lanes(work, 2, per_host):
                wrong += pieces.work(lane, opened.task)
        if wrong:
            raise BadSource("; ".join(wrong))
        return finish(opened.task, opened.table, self.results)

    def images(self, dataset: str) -> dict[str, bytes]:
        """Everything that the store has, by name, read as preprocessing does."""
        files = {key.removeprefix("/muster/"): content for key, content in self.store.files.items()}
        prefix = sets.image_key(dataset, "")
        found = {key.removeprefix(prefix): files[key] for key in files if key.startswith(prefix)}
        for pack, names in json.loads(files[sets.packs_key(dataset)]).items():
            with tarfile.open(fileobj=io.BytesIO(files[pack])) as archive:
                found |= {name: archive.extractfile(name).read() for name in names}
        return found

    def read(self, key: str) -> str:
        """The text of an object."""
        return self.store.files[f"/muster/{key}"].decode()


@pytest.fixture
def bring(store, tmp_path):
    return Bringer(store, tmp_path)
