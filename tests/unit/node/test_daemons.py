"""What the pages of NameNode and Spark Master say."""

from __future__ import annotations

import io
import json
from contextlib import suppress

import pytest

from muster_node import daemons, idle, status
from muster_node.daemons import DataNodes, HdfsState, SparkState
from muster_node.hdfs.webhdfs import Hdfs
from tests.fakes.servers import HdfsHandler, Server


def test_datanodes_are_known_by_name_and_address() -> None:
    live = json.dumps({"retina-worker-1:9866": {"xferaddr": "10.0.0.2:9866", "lastContact": 2}, "m:9866": {}})
    known = DataNodes.parse({"beans": [{"LiveNodes": live, "Safemode": ""}]})
    everybody = frozenset({"retina-worker-1", "10.0.0.2", "m"})
    assert known == DataNodes(everybody, safe_mode=False, number=2)
    assert DataNodes.parse({"beans": []}) == DataNodes(frozenset(), safe_mode=False)


def test_dead_workers_do_not_count() -> None:
    page = {
        "workers": [
            {"host": "w-1", "state": "ALIVE", "cores": 2, "coresused": 1, "memoryfree": 700},
            {"host": "w-2", "state": "DEAD", "cores": 2},
        ],
        "activeapps": [{"name": "verify", "id": "app-1"}],
    }
    known = SparkState.parse(page)
    assert known.workers == (daemons.Worker("w-1", 2, 1, 700),)
    assert known.applications == ("verify (app-1)",)


def test_what_does_not_answer_is_null(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    numbers = {"NumLiveDataNodes": 3, "CapacityTotal": 10, "CapacityUsed": 4, "CapacityRemaining": 6}
    listed = {name: {"xferaddr": f"{name}:9866"} for name in ("w-1", "w-2")}  # the third was deleted
    page = {"beans": [numbers | {"LiveNodes": json.dumps(listed)}]}

    def ask(url: str, timeout_s: float = 10) -> dict[str, object]:
        if url.endswith(daemons.MASTER_PAGE):
            raise OSError("refused")
        return page

    monkeypatch.setattr(daemons, "ask", ask)
    assert status.main() == 0
    found = json.loads(capsys.readouterr().out)
    assert HdfsState(**found["hdfs"]) == HdfsState(2, 10, 4, 6)
    assert (found["spark"], found["jobs"]) == (None, [])


def test_hdfs_is_walked_through() -> None:
    server = Server(HdfsHandler)
    server.files = {"/results/a/log": b"one", "/results/a/model/part-0": b"three", "/other": b"x"}
    hdfs = Hdfs(server.url)
    assert sorted(hdfs.walk("/results")) == [("/results/a/log", 3), ("/results/a/model/part-0", 5)]
    assert hdfs.folders("/results/a") == ["model"]
    assert list(hdfs.walk("/none")) == []
    with hdfs.open("/results/a/log") as stream:
        assert stream is not None and stream.read() == b"one"
    assert hdfs.read("/none") is None
    server.shutdown()


@pytest.mark.parametrize(
    "said",
    [b'{"workers": 7}', b'{"workers": [7]}', b'{"activeapps": 7}', b'{"workers": [{"state": "ALIVE", "cores": []}]}',
     b'{"beans": 7}', b'{"beans": [7]}', b'{"beans": [{"LiveNodes": "[]", "NumLiveDataNodes": 1e999}]}',
     b"[" * 100_000, b"[]", b"rubbish"],
)  # fmt: skip
def test_what_is_no_page_of_a_daemon_is_one_error(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job may hold the port of a daemon that is gone; whether the machine is used is asked all the same."""
    monkeypatch.setattr(daemons.urllib.request, "urlopen", lambda *_, **__: io.BytesIO(said))
    for look in (daemons.datanodes, daemons.hdfs, daemons.spark):
        with suppress(OSError, ValueError):
            look("http://m")
    assert idle.applications() == []


def test_an_application_without_processors_computes_nothing() -> None:
    """A notebook that is only open has given its executors back."""
    page = {
        "activeapps": [{"name": "notebook", "id": "a", "cores": 0}, {"name": "job", "id": "b", "cores": 4}]
    }
    found = daemons.SparkState.parse(page)
    assert (found.applications, found.computing) == (("notebook (a)", "job (b)"), ("job (b)",))
