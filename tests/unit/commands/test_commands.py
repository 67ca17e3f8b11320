from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Protocol

import pytest
from typer.testing import CliRunner

from muster_node import daemons
from provision import cli
from provision.commands import init, invocation, playbooks, ssh, verify
from provision.commands.catalogue import COMMANDS
from provision.core import programs
from provision.core.errors import MusterError
from provision.core.model import ClusterIdentity, Machine, NodeState
from provision.core.paths import PROJECT
from provision.planning import nodes
from provision.services import live
from provision.state.folder import Snapshot, State

CONFIG = "plugin: cluster\ncluster: pond\nnodes: 3\n"


@pytest.fixture
def inventory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MUSTER_STATE", str(tmp_path / "state"))
    path = tmp_path / "pond.yml"
    path.write_text(CONFIG)
    return path


class Muster(Protocol):
    def __call__(self, *words: str) -> tuple[int, str, str]: ...


@pytest.fixture
def muster(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Muster:
    """`./muster`, in this process: exit status, standard output, standard error."""
    monkeypatch.chdir(PROJECT)

    def call(*words: str) -> tuple[int, str, str]:
        status = cli.main(words)
        said = capsys.readouterr()
        return status, said.out, said.err

    return call


@pytest.mark.parametrize(
    "command",
    [
        *COMMANDS,
        "images list",
        "images prune",
        "data list",
        "data stores",
        "data rm",
        "access add",
        "access remove",
        "access list",
    ],
)
def test_every_command_explains_itself_with_examples(command: str) -> None:
    result = CliRunner().invoke(cli.app, [*command.split(), "--help"])
    assert result.exit_code == 0
    assert "Examples:\n" in result.output
    assert f"./muster {command}" in result.output


def test_a_mistyped_command_names_the_close_one(muster: Muster) -> None:
    status, _, err = muster("statu")
    assert status == 2
    assert err.count("\n") == 1
    assert "Did you mean 'status'?" in err


def test_the_installed_program_ends_with_the_status_of_the_command() -> None:
    program = Path(sys.executable).with_name("muster")
    assert subprocess.run([program, "statu"], capture_output=True, check=False).returncode == 2
    assert subprocess.run([program, "--help"], capture_output=True, check=False).returncode == 0


def test_a_mistyped_inventory_names_the_close_one(muster: Muster) -> None:
    status, out, err = muster("-i", "inventories/locl.yml", "status")
    assert status == 1
    assert out == ""
    assert err.count("\n") == 1
    assert "inventories/locl.yml" in err
    assert "inventories/local.yml" in err


def test_a_wrong_config_is_one_line(muster: Muster, inventory: Path) -> None:
    inventory.write_text(CONFIG + "nodez: 4\n")
    status, _, err = muster("status", "-i", str(inventory))
    assert status == 1
    assert err.count("\n") == 1
    assert "nodez" in err
    assert "nodes" in err


@pytest.mark.parametrize("size", ["100", "0", "abc"])
def test_a_wrong_image_size_is_refused(muster: Muster, size: str) -> None:
    status, _, err = muster("up", "--image-size", size)
    assert status == 2
    assert "--image-size" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["up", "-n", "abc"], "Invalid value for '--nodes' / '-n'"),
        (["up", "--nodez", "3"], "--nodez"),
        (["get"], "Missing argument 'source'"),
        (["data", "rm"], "--store NAME"),
        (["-i"], "Option '-i' requires an argument. See ./muster --help"),
    ],
)
def test_a_wrong_command_line_is_one_line(muster: Muster, words: list[str], said: str) -> None:
    status, out, err = muster(*words)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert said in err and "--help" in err


def test_no_command_is_the_help(muster: Muster) -> None:
    status, _, err = muster()
    assert status == 2
    assert "Usage: ./muster" in err and "Examples:" in err


@pytest.mark.parametrize("count", ["0", "-1"])
def test_a_wrong_number_of_nodes_is_one_line(muster: Muster, inventory: Path, count: str) -> None:
    status, _, err = muster("-i", str(inventory), "up", "-n", count)
    assert status == 1
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("given", "moved"),
    [
        (["up", "-i", "x.yml"], ["-i", "x.yml", "up"]),
        (["up", "-n", "5", "--inventory=x.yml"], ["--inventory=x.yml", "up", "-n", "5"]),
        (["-ix.yml", "up"], ["-ix.yml", "up"]),
        (["ssh", "master", "grep", "-i", "x"], ["ssh", "master", "grep", "-i", "x"]),
        (["ssh", "--", "ls", "-i"], ["ssh", "master", "--", "ls", "-i"]),
        (["run", "--", "grep", "-i", "x"], ["run", "--", "grep", "-i", "x"]),
        (
            ["submit", "a.py", "-i", "x.yml", "--", "-i", "y"],
            ["-i", "x.yml", "submit", "a.py", "--", "-i", "y"],
        ),
    ],
)
def test_the_inventory_may_be_said_anywhere(given: list[str], moved: list[str]) -> None:
    assert cli.inventory_first(given) == moved


def test_a_muster_error_is_one_line_without_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise MusterError(what="it broke", where="pond-worker-1", remedy="Mend it")

    monkeypatch.setattr(cli, "app", broken)
    assert cli.main(["status"]) == 1
    assert capsys.readouterr().err == "muster: pond-worker-1: it broke. Mend it\n"


def test_a_fault_is_one_line_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("MUSTER_DEBUG", raising=False)
    monkeypatch.setattr(cli, "app", lambda *_, **__: 1 / 0)
    assert cli.main(["status"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_ctrl_c_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "app", interrupted)
    assert cli.main(["up"]) == 130
    assert capsys.readouterr().err.count("\n") == 1


def test_init_writes_a_valid_file_and_never_overwrites(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "inventories").mkdir()
    monkeypatch.setattr(init, "PROJECT", tmp_path)
    runner = CliRunner()
    first = runner.invoke(cli.app, ["init", "pond", "--nodes", "5", "--memory", "4"])
    assert first.exit_code == 0
    path = tmp_path / "inventories" / "pond.yml"
    spec = invocation.Invocation(str(path)).spec()
    assert (spec.name, spec.nodes, spec.group("worker").memory_gb, spec.group("master").memory_gb) == (
        "pond",
        5,
        4,
        5,
    )
    text = path.read_text()
    assert isinstance(runner.invoke(cli.app, ["init", "pond", "--nodes", "2"]).exception, MusterError)
    assert path.read_text() == text
    assert runner.invoke(cli.app, ["init", "pond", "--nodes", "2", "--force"]).exit_code == 0
    assert invocation.Invocation(str(path)).spec().nodes == 2


def test_init_leaves_no_invalid_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "inventories").mkdir()
    monkeypatch.setattr(init, "PROJECT", tmp_path)
    result = CliRunner().invoke(cli.app, ["init", "No_Host", "--nodes", "5", "--memory", "4"])
    assert isinstance(result.exception, MusterError)
    assert list((tmp_path / "inventories").iterdir()) == []


def test_up_is_both_playbooks_in_one_process(inventory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []

    def play(*arguments: object, **_: object) -> int:
        seen.append(programs.playbook(*arguments))  # type: ignore[arg-type]
        return 0

    monkeypatch.setattr(playbooks, "play", play)
    result = CliRunner().invoke(
        cli.app, ["-i", str(inventory), "up", "-n", "5", "--scale-in", "--", "--check"]
    )
    assert result.exit_code == 0, result.output
    (words,) = seen
    words = words[words.index("-i") :]
    assert words[:4] == ["-i", str(inventory), "start_cluster.yml", "main.yml"]
    assert json.loads(words[5]) == {"NUM_NODES": 5, "SCALE_IN": True}
    assert words[6:] == ["--check"]


def test_a_remote_path_says_which_machine(tmp_path: Path) -> None:
    state = State(tmp_path / "state" / "pond")
    state.begin(ClusterIdentity("pond", "0123abcd"))
    machine = Machine("i-1", "pond-worker-1", "worker", NodeState.RUNNING, *["10.0.0.3"] * 2, 0.0, "t")
    state.journal.pin("i-1", "ssh-ed25519 AAAA")
    state.save(Snapshot((machine,)))
    assert ssh._remote("worker-1:/data", state) == ("pond-worker-1", "/data")
    with pytest.raises(MusterError, match="which machine"):
        ssh._remote("/data", state)


def test_what_the_master_says_is_understood() -> None:
    namenode = {"beans": [{"NumLiveDataNodes": 3, "CapacityTotal": 4e9, "CapacityUsed": 1e6}]}
    master = {
        "workers": [
            {"state": "ALIVE", "cores": 2, "coresused": 1},
            {"state": "DEAD", "cores": 2, "coresused": 0},
        ],
        "activeapps": [{"name": "lr", "id": "app-1"}],
    }
    said = {
        "hdfs": asdict(daemons.HdfsState.parse(namenode)),
        "spark": asdict(daemons.SparkState.parse(master)),
        "jobs": ["lr-20261122-050000-0000"],
    }
    found = live.parse(json.dumps(said))
    assert (found.datanodes, found.workers, found.cores, found.cores_used) == (3, 1, 2, 1)
    assert found.applications == ("lr (app-1)",)
    assert found.jobs == ("lr-20261122-050000-0000",)
    assert any("3 DataNodes, 1.0 MB of 4.0 GB used" in line for line in live.lines(found))


def test_a_silent_master_is_an_answer(tmp_path: Path) -> None:
    found = live.parse('{"hdfs": null, "spark": null, "jobs": []}')
    assert (found.datanodes, found.workers, found.jobs) == (None, None, ())
    assert not live.look(tmp_path, "pond").reached


def test_only_a_new_verify_report_counts(tmp_path: Path) -> None:
    (tmp_path / "verify.json").write_text('{"ready": true}')
    written = (tmp_path / "verify.json").stat().st_mtime
    assert verify.newest_report(tmp_path, since=written) == {"ready": True}
    assert verify.newest_report(tmp_path, since=written + 60) is None


@pytest.mark.parametrize(
    ("group", "deep_learning", "wanted"),
    [
        ("master", False, ["NameNode", "Master", "History", "DataNode", "Worker"]),
        ("worker", True, ["DataNode", "Worker", "deep learning"]),
        ("gpu", True, ["deep learning"]),
        ("other", False, []),
    ],
)
def test_deep_learning_is_a_role_only_where_it_is(group: str, deep_learning: bool, wanted: list[str]) -> None:
    node = SimpleNamespace(group=SimpleNamespace(name=group, deep_learning=deep_learning))
    assert nodes.roles(node) == wanted  # type: ignore[arg-type]
