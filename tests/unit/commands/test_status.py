from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from provision import cli
from provision.commands.invocation import Invocation
from provision.core.model import NodeState
from provision.services import live
from tests.fakes.provider import FakeProvider, World, cluster


@pytest.mark.parametrize(
    ("off", "said"),
    [
        (lambda group: False, "The master does not answer: timed out"),
        (lambda group: group == "worker", "The master does not answer: timed out"),
        (lambda group: group == "master", ""),
        (lambda group: True, ""),
    ],
)
def test_a_master_that_is_off_is_no_error(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    off: Callable[[str], bool],
    said: str,
) -> None:
    monkeypatch.setenv("MUSTER_STATE", str(tmp_path / "state"))
    config = tmp_path / "retina.yml"
    config.write_text("plugin: cluster\ncluster: retina\nnodes: 3\nobject_store: {kind: none}\n")
    world = World()
    made = cluster(world, tmp_path)
    made.ensure()
    provider = FakeProvider(world, made.spec)
    monkeypatch.setattr(Invocation, "view", lambda *_: made.view)
    for machine in list(world.machines.values()):
        if off(machine.group):
            provider.set_state(machine, NodeState.STOPPED)
    monkeypatch.setattr(live, "look", lambda *_: live.Live(why="timed out"))
    assert cli.main(["-i", str(config), "status"]) == 0
    out = capsys.readouterr().out
    assert "retina-master" in out
    assert ("The master does not answer" in out) is bool(said)
    assert said in out
