"""JupyterLab and the engines of ipyparallel, through `./muster notebook` alone, as a user has them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from provision.core.paths import PROJECT
from tests.system.conftest import running
from tests.system.jupyter import Server
from tests.system.lab import Lab

GROUPS = {
    "master": {"cores": 2, "memory_gb": 4, "data_disk_gb": 20},
    "worker": {"cores": 2, "memory_gb": 2, "data_disk_gb": 20},
}
STARTERS = sorted((PROJECT / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, store: str) -> Iterator[Lab]:
    with running(
        tmp_path_factory.mktemp("notebook"), store, nodes=2, groups=GROUPS, features=["notebook"]
    ) as made:
        yield made


@contextmanager
def opened(lab: Lab, *words: str) -> Iterator[dict[str, Any]]:
    """Hold `./muster notebook` open; what it prints."""
    process = subprocess.Popen(
        [str(PROJECT / "muster"), "-i", str(lab.config), "notebook", "--json", *words],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        env=lab.environment(),
        start_new_session=True,
        # As on a terminal: whoever starts the tests in the background has them, and all below, ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    assert process.stdout
    try:
        text = ""
        while not text.rstrip().endswith("}"):
            line = process.stdout.readline()
            assert line, f"notebook has ended: {text}"
            text += line
        yield json.loads(text)
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(20)


@pytest.fixture
def server(lab: Lab) -> Iterator[Server]:
    with opened(lab) as told:
        yield Server(told)


def applications(lab: Lab) -> list[dict[str, Any]]:
    """The applications that Spark's Master knows, with the processors that each has."""
    page = lab.ssh(lab.master, f"curl -s http://{lab.master}:8080/json/").ok().answer
    return list(json.loads(page)["activeapps"])


def test_only_who_has_the_token_and_trusts_the_clusters_own_authority_gets_in(lab: Lab) -> None:
    with opened(lab) as told:
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
        assert kernel.run("spark.range(1000).selectExpr('sum(id)').first()[0]") == "499500"
