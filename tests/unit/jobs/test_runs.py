"""Jobs seen from the control machine, without SSH."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest

from provision.jobs import runs
from tests.fakes.queue import record

RUN = "train-20261122-050000-0000"


@pytest.mark.parametrize("follow", [True, False])
def test_following_a_run_to_its_end_fetches_its_results(
    follow: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[str, ...]] = []
    queue = runs.Queue("c", tmp_path, "c-master", tmp_path / "ssh_config")
    monkeypatch.setattr(
        runs, "stream", lambda _, run, *, wait, **__: asked.append(("stream", run, str(wait)))
    )

    def fetch(_: runs.Queue, run: str) -> Path:
        asked.append(("fetch", run))
        return tmp_path / "results" / run

    def ask(_: runs.Queue, *words: str, **__: Any) -> Any:
        return [record(RUN)] if words[0] == "list" else record(RUN, results=["a", "b"])

    monkeypatch.setattr(runs, "fetch", fetch)
    monkeypatch.setattr(runs.Queue, "ask", ask)
    monkeypatch.chdir(tmp_path)
    runs.logs(queue, follow=follow)
    assert asked == [("stream", RUN, str(follow)), *([("fetch", RUN)] if follow else [])]
    assert capsys.readouterr().err == (f"Results of {RUN}: results/{RUN} (a, b)\n" if follow else "")


@pytest.mark.parametrize(("size", "env"), [(None, {}), (128, {"MUSTER_IMAGE_SIZE": "128"})])
def test_a_size_is_the_run_s_alone(
    size: int | None, env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without one it is the size last asked for, which the queue on the master knows."""
    sent: list[Any] = []
    monkeypatch.setattr(runs, "send", lambda _, request: sent.append(request))
    queue = runs.Queue("c", tmp_path, "c-master", tmp_path / "ssh_config")
    runs.submit(queue, "sleep 1", secrets={"A": "1"}, image_size=size, follow=False, say=lambda _: None)
    assert [(request.env, request.secrets) for request in sent] == [(env, {"A": "1"})]


def test_a_sink_of_the_callers_own_is_all_that_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In Ansible standard output is no file that takes bytes."""
    queue = runs.Queue("c", tmp_path, "c-master", tmp_path / "ssh_config")
    monkeypatch.setattr(runs, "stream", lambda *_, sink, **__: sink(b"line"))
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    got: list[bytes] = []
    runs._show(queue, RUN, sink=got.append, say=lambda _: None, wait=False)
    assert got == [b"line"]
