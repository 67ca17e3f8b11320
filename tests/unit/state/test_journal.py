from __future__ import annotations

import fcntl
import json
import stat
import threading
from pathlib import Path

import pytest

from provision.core.errors import StateError
from provision.state.journal import Journal


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path)


def test_reading_writes_nothing(journal: Journal, tmp_path: Path) -> None:
    assert journal.read().cluster_id == ""
    assert list(tmp_path.iterdir()) == []


def test_first_line_names_the_format(journal: Journal) -> None:
    journal.begin("abc")
    assert json.loads(journal.path.read_text().splitlines()[0]) == {"format": 1}
    assert stat.S_IMODE(journal.path.stat().st_mode) == 0o600


def test_life_of_an_intent(journal: Journal, tmp_path: Path) -> None:
    journal.begin("abc")
    journal.wish(3)
    journal.open("create", token="t1", provider="local", names=("a", "b"), request="the request")
    view = journal.read()
    assert (view.cluster_id, view.wish, view.providers) == ("abc", 3, {"local"})
    assert not view.intents["t1"].done
    assert journal.request(view.intents["t1"]) == "the request"
    assert stat.S_IMODE((tmp_path / "requests" / "t1.json").stat().st_mode) == 0o600
    journal.done("t1", {"a": "i-1", "b": "i-2"})
    assert journal.read().intents["t1"].done
    journal.pin("i-1", "ssh-ed25519 AAAA")
    journal.store("default")
    journal.close("t1")
    view = journal.read()
    assert (view.intents, view.pins, view.stores) == ({}, {"i-1": "ssh-ed25519 AAAA"}, {"default"})
    assert not (tmp_path / "requests" / "t1.json").exists()


def test_torn_last_line_is_dropped_and_overwritten(journal: Journal) -> None:
    journal.begin("abc")
    with journal.path.open("ab") as stream:
        stream.write(b'{"kind":"wish","nodes":')
    assert journal.read().wish is None
    journal.wish(4)
    assert journal.read().wish == 4


def test_a_torn_line_that_is_overwritten_while_others_read(journal: Journal) -> None:
    journal.begin("abc")
    ended = threading.Event()

    def write() -> None:
        for number in range(300):
            with journal.path.open("ab") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX)
                stream.write(b'{"kind":"wish","no')
            journal.wish(number)
        ended.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not ended.is_set():
        journal.records()  # raised StateError: a part of the torn line, then a part of the new one
    writer.join()
    assert journal.read().wish == 299


def test_torn_first_line(journal: Journal) -> None:
    journal.path.write_bytes(b'{"form')
    journal.begin("abc")
    assert journal.read().cluster_id == "abc"


def test_damage_in_the_middle_is_an_error(journal: Journal) -> None:
    journal.begin("abc")
    journal.wish(3)
    lines = journal.path.read_text().splitlines()
    lines[1] = "garbage"
    journal.path.write_text("\n".join(lines) + "\n")
    with pytest.raises(StateError, match=r"journal\.jsonl, line 2: the journal is damaged\. Restore it"):
        journal.read()


def test_another_format_is_an_error(journal: Journal) -> None:
    journal.path.write_text('{"format":99}\n')
    with pytest.raises(StateError, match="has format 99, this version reads 1. Use the version of Muster"):
        journal.read()


def test_altered_request_is_an_error(journal: Journal, tmp_path: Path) -> None:
    journal.begin("abc")
    journal.open("create", token="t1", request="the request")
    (tmp_path / "requests" / "t1.json").write_text("another request")
    with pytest.raises(StateError, match="missing or altered"):
        journal.request(journal.read().intents["t1"])


def test_stray_requests_are_removed(journal: Journal, tmp_path: Path) -> None:
    journal.begin("abc")
    journal.open("create", token="t1", request="the request")
    (tmp_path / "requests" / "stray.json").write_text("written just before a crash")
    journal.drop_stray_requests(journal.read())
    assert [path.name for path in (tmp_path / "requests").iterdir()] == ["t1.json"]
