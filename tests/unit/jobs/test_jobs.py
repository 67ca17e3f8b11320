"""Jobs seen from the control machine, without SSH."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from provision import jobs

RUN = "train-20261122-050000-0000"


@pytest.mark.parametrize("follow", [True, False])
def test_following_a_run_to_its_end_fetches_its_results(
    follow: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(
        jobs, "queue_of", lambda _: jobs.Queue("c", tmp_path, "c-master", tmp_path / "ssh_config")
    )
    monkeypatch.setattr(
        jobs, "stream", lambda _, run, *, wait, **__: asked.append(("stream", run, str(wait)))
    )

    def fetch(_: jobs.Queue, run: str) -> Path:
        asked.append(("fetch", run))
        return tmp_path / "results" / run

    def ask(_: jobs.Queue, *words: str) -> Any:
        return [{"run": RUN}] if words[0] == "list" else {"run": RUN, "results": ["a", "b"]}

    monkeypatch.setattr(jobs, "fetch", fetch)
    monkeypatch.setattr(jobs.Queue, "ask", ask)
    monkeypatch.chdir(tmp_path)
    jobs.logs(None, follow=follow)  # type: ignore[arg-type]
    assert asked == [("stream", RUN, str(follow)), *([("fetch", RUN)] if follow else [])]
    assert capsys.readouterr().err == (f"Results of {RUN}: results/{RUN} (a, b)\n" if follow else "")
