"""Images of another store's container."""

from __future__ import annotations

from dataclasses import replace

import pytest

from muster_node import sets
from muster_node.ingest import dealing, pieces
from muster_node.ingest.opening import open_sources
from muster_node.ingest.request import KEYS, BadSource, Container, Labels, Request
from tests.fakes.servers import Server, StoreHandler
from tests.unit.node.ingest.conftest import image

NAMES = {f"eyes/2016/{number} left+.jpg": image(number) for number in range(6)}


@pytest.fixture
def other(monkeypatch):
    """Another store, with another container."""
    made = Server(StoreHandler)
    table = "image,level\n" + "".join(f"{number} left+,{number % 2}\n" for number in range(6))
    more = {"eyes/2016/labels.csv": table.encode(), "eyes/2016/.DS_Store": b"x", "others/1.jpg": image(9)}
    made.files = {f"/muster/{key}": content for key, content in (NAMES | more).items()}
    for name in KEYS:
        monkeypatch.setenv(name, "a:b")
    yield made
    made.shutdown()
    made.server_close()


def asked(other, prefix: str) -> Request:
    container = Container("s3", other.url, "muster", prefix)
    return Request("eyes", container=container, labels=Labels(inside="labels.csv"))


def test_what_is_below_the_prefix_comes(bring, other):
    ended = bring(asked(other, "eyes/2016/"))
    assert bring.images("eyes") == {
        name.removeprefix("eyes/2016/"): content for name, content in NAMES.items()
    }
    assert ended.metrics["labelled"] == 6 and ended.metrics["aside"] == 1
    assert "hidden" in (bring.results / "aside.csv").read_text()
    assert sets.labels_key("eyes") in "".join(bring.store.files)


def test_a_container_that_changes_before_a_run_goes_on(bring, other, monkeypatch):
    monkeypatch.setattr(dealing, "PIECE_BYTES", 11_000)
    request = asked(other, "eyes/2016/")
    opened = open_sources(request, bring.here)
    pieces.work(dealing.lanes(opened.pieces, 2, 1)[0], opened.task)
    other.files["/muster/eyes/2016/-1.jpg"] = image(77)
    del other.files["/muster/eyes/2016/0 left+.jpg"]
    (bring.here / "labels.csv").write_text("image,level\n1 left+,1\n")
    bring(request)
    wanted = {f"{number} left+.jpg": image(number) for number in range(1, 6)} | {"-1.jpg": image(77)}
    assert bring.images("eyes") == wanted


def test_an_object_that_is_deleted_meanwhile(bring, other):
    opened = open_sources(asked(other, "eyes/2016/"), bring.here)
    del other.files["/muster/eyes/2016/3 left+.jpg"]
    assert pieces.work(dealing.lanes(opened.pieces, 1, 1)[0], opened.task) == []
    piece = next(opened.task.journal().every("c-"))
    assert len(piece.names) == 5 and piece.aside[0][1] == "it is no more in the container"


def test_a_store_that_is_gone_is_one_line(bring, other):
    opened = open_sources(asked(other, "eyes/2016/"), bring.here)
    gone = replace(opened.task, other=replace(opened.task.other, endpoint="http://127.0.0.1:1"))
    wrong = pieces.work(dealing.lanes(opened.pieces, 1, 1)[0], gone)
    assert len(wrong) == 1 and "does not answer" in wrong[0] and "\n" not in wrong[0]


def test_nothing_there(bring, other):
    with pytest.raises(BadSource, match="container muster has no images below none/"):
        bring(asked(other, "none/"))
