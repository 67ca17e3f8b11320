"""JupyterLab and the engines of ipyparallel, through `./muster notebook` alone, as a user has them."""

from __future__ import annotations

import json
import math
import re
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import ipyparallel
import pytest
from ipyparallel import serialize

from provision.core.paths import PROJECT
from tests.system.conftest import running
from tests.system.jupyter import Server
from tests.system.lab import Lab, eventually
from tests.system.opened import opened

pytestmark = pytest.mark.long  # two images more, and four minutes
GROUPS = {
    "master": {"cores": 2, "memory_gb": 4.5, "data_disk_gb": 20},
    "worker": {"cores": 2, "memory_gb": 2, "data_disk_gb": 20},
}
WORD = "open sesame"
LISTEN = f"""
import socket, time
line = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
line.settimeout(1)
end, size, seen = time.time() + 15, 0, False
while time.time() < end:
    try:
        data = line.recv(65536)
    except TimeoutError:
        continue
    if any(int.from_bytes(data[at : at + 2], "big") in range(7110, 7118) for at in (34, 36)):
        size += len(data)
        seen |= b"{WORD}" in data
print(size, seen)
"""
"""Bytes on the way between engines and controller, and whether the word is among them."""
STARTERS = sorted((PROJECT / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, store: str) -> Iterator[Lab]:
    with running(
        tmp_path_factory.mktemp("notebook"), store, nodes=2, groups=GROUPS, features=["notebook"]
    ) as made:
        yield made


@pytest.fixture(scope="module", autouse=True)
def _by_name() -> None:
    """What is sent to engines goes as cloudpickle has it, whatever Python they have."""
    serialize.use_cloudpickle()


@pytest.fixture
def server(lab: Lab) -> Iterator[Server]:
    with opened(lab, "notebook") as told:
        yield Server(told)


def applications(lab: Lab) -> list[dict[str, Any]]:
    """The applications that Spark's Master knows, with the processors that each has."""
    page = lab.ssh(lab.master, f"curl -s http://{lab.master}:8080/json/").ok().answer
    return list(json.loads(page)["activeapps"])


def test_only_who_has_the_token_and_trusts_the_clusters_own_authority_gets_in(lab: Lab) -> None:
    with opened(lab, "notebook") as told:
        assert Server(told).ask("contents")["type"] == "directory"
        with pytest.raises(urllib.error.HTTPError, match="403"):
            Server(told, token="0" * 64).ask("contents")
        with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
            urllib.request.urlopen(told["address"], timeout=30)  # noqa: S310
        assert len(told["sha256"].split(":")) == 32
    everybody = lab.ssh(lab.master, "ps axww -o args; ss -Hltn '( sport = :8888 )'").ok().answer
    assert told["token"] not in everybody
    assert "127.0.0.1:8888" in everybody and "0.0.0.0:8888" not in everybody


def test_a_kernel_has_what_jobs_have_and_is_reached_by_files_alone(server: Server) -> None:
    with server.kernel() as kernel:
        transport = (
            "import json, os, ipykernel; json.load(open(ipykernel.get_connection_file()))['transport']"
        )
        assert kernel.run(transport) == "'ipc'"
        assert "2." in kernel.run("import torch; torch.__version__")
        assert kernel.run("os.environ['MUSTER_DATASET']") == "'digits'"
        assert kernel.run("spark.range(1000).selectExpr('sum(id)').first()[0]").endswith("499500")


@pytest.mark.parametrize("path", STARTERS, ids=lambda path: path.stem)
def test_a_starter_runs_through_its_address(server: Server, path: Path) -> None:
    assert server.ask(f"contents/{path.name}?content=0")["type"] == "notebook"
    with server.kernel() as kernel:
        said = kernel.notebook(path)
    if path.stem in ("train", "parallel_forests"):
        share = re.search(r"([0-9.]+)% right on 359 held-out pictures", said[-1])
        assert share and float(share[1]) > 90, said[-1]


def test_engines_answer_in_a_notebook(server: Server) -> None:
    with server.kernel() as kernel:
        found = kernel.run(
            "import ipyparallel, socket; ipyparallel.Client()[:].apply_sync(socket.gethostname)"
        )
    assert found.count("-worker-1") == 2


def test_engines_answer_this_computer(lab: Lab) -> None:
    """Whatever Python is here: functions of libraries by their names, and code as text."""
    with opened(lab, "notebook", "--engines") as told, ipyparallel.Client(told["file"]) as client:
        assert Path(told["file"]).stat().st_mode & 0o077 == 0
        assert len(client.ids) == 2
        assert client[:].apply_sync(socket.gethostname) == [lab.worker(1)] * 2
        client[:].execute("number = sum(range(10))", block=True)
        assert client[:]["number"] == [45, 45]
        assert client.load_balanced_view().map_sync(math.sqrt, [4, 9, 16]) == [2, 3, 4]
        wrong = {**json.loads(Path(told["file"]).read_text()), "curve_serverkey": "0" * 40}
        with pytest.raises(TimeoutError):
            ipyparallel.Client(wrong, timeout=3)
    assert not Path(told["file"]).exists()


def test_what_engines_say_is_encrypted(lab: Lab) -> None:
    """A word that is sent to all engines is not on the wire between the machines."""
    master = lab.node(lab.master, sudo=True)
    master.check_output("printf %%s %s > /root/listen.py", LISTEN)
    with opened(lab, "notebook", "--engines") as told, ipyparallel.Client(told["file"]) as client:
        with ThreadPoolExecutor(1) as other:
            heard = other.submit(lab.ssh, lab.master, "sudo python3 /root/listen.py", "muster")
            for _ in range(8):
                client[:].push({"word": WORD * 100}, block=True)
                time.sleep(1)
        size, seen = heard.result().ok().answer.split()
    assert int(size) > 8 * len(WORD) * 100
    assert seen == "False"


def test_an_engine_that_was_lost_comes_back(lab: Lab) -> None:
    """The controller has given it up while it was stopped; it does not know that, and asks."""

    def names() -> set[str]:
        return set(json.loads(lab.ssh(lab.master, "/opt/muster/bin/muster-engines").ok().answer)["engines"])

    before = names()
    worker = lab.node(lab.worker(1), sudo=True)
    worker.check_output("systemctl kill --signal=STOP muster-engine@1")
    eventually(lambda: len(names()) == 1, 90, "given up")
    worker.check_output("systemctl kill --signal=CONT muster-engine@1")
    after = eventually(lambda: len(names()) == 2 and names(), 90, "back")
    assert len(before & after) == 1
    worker.check_output("systemctl kill --signal=KILL muster-engine@2")
    eventually(lambda: len(names() - after) == 1 and len(names()) >= 2, 90, "anew")


def test_an_idle_notebook_gives_the_executors_back(lab: Lab, server: Server) -> None:
    def cores() -> int:
        return sum(each["cores"] for each in applications(lab) if each["name"] == "notebook")

    with server.kernel() as kernel:
        assert kernel.run("spark.range(1000).selectExpr('sum(id)').first()[0]").endswith("499500")
        assert cores() > 0
        eventually(lambda: cores() == 0, 120, "given back")
        assert [each["name"] for each in applications(lab)] == ["notebook"]
        lab.muster("submit", "random_forest", "engine=spark", "trees=2").ok()  # needs executors
        kernel.come_back()
        assert kernel.run("spark.range(10).count()").endswith("10")


def idle(lab: Lab) -> str:
    """What the master says of its use."""
    return lab.ssh(lab.master, "sudo /opt/muster/bin/muster-idle show", "muster").ok().answer


def test_work_in_notebooks_and_on_engines_is_use_and_an_open_notebook_is_none(lab: Lab) -> None:
    lab.write(autostop="12h")
    lab.playbook("start_cluster.yml").ok()
    lab.node(lab.master, sudo=True).check_output("systemctl start muster-idle")
    try:
        with opened(lab, "notebook") as told, Server(told).kernel() as kernel:
            kernel.begin("import time; time.sleep(80)")
            eventually(lambda: "a kernel of the notebook" in idle(lab), 20, "busy")
            kernel.run("1")
            assert "a kernel of the notebook" in idle(lab)  # a moment ago
            eventually(lambda: "of the notebook" not in idle(lab), 120, "only open")
        with opened(lab, "notebook", "--engines") as told, ipyparallel.Client(told["file"]) as client:
            result = client[client.ids[0]].apply(time.sleep, 30)
            eventually(lambda: "engines" in idle(lab), 20, "at work")
            result.get(60)
            eventually(lambda: "engines" not in idle(lab), 120, "at rest")
    finally:
        del lab.keys["autostop"]
        lab.write()
        lab.playbook("start_cluster.yml").ok()


def test_files_survive_stop_and_start_and_a_new_cluster_of_the_name(lab: Lab) -> None:
    with opened(lab, "notebook") as told:
        server = Server(told)
        mine = {"type": "file", "format": "text", "content": "what I saw"}
        server.ask("contents/notes.txt", "PUT", mine)
        server.ask("contents/train.ipynb", "DELETE")
    lab.ssh(lab.master, "echo written by a cell > /data/notebooks/cell.txt").ok()
    lab.playbook("stop_cluster.yml").ok()
    lab.up()
    with opened(lab, "notebook") as again:
        server = Server(again)
        assert (again["token"], again["sha256"]) == (told["token"], told["sha256"])
        assert server.ask("contents/notes.txt")["content"] == "what I saw"
        assert "train.ipynb" not in {entry["name"] for entry in server.ask("contents")["content"]}
    lab.destroy().ok()
    lab.up()
    with opened(lab, "notebook") as fresh:
        server = Server(fresh)
        assert fresh["token"] != told["token"]
        assert server.ask("contents/notes.txt")["content"] == "what I saw"
        assert server.ask("contents/cell.txt")["content"] == "written by a cell\n"
