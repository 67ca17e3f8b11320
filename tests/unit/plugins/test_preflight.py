"""What ansible-playbook may not be given, in Ansible itself."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from provision.config.extra import public_names
from provision.core.errors import MusterError
from provision.core.model import ClusterIdentity
from provision.core.paths import PROJECT
from provision.plugins.preflight import READ, check_environment, check_selectors, unread
from provision.ssh.files import ssh_config
from provision.ssh.keys import ensure_login_key
from provision.state.folder import Snapshot, State
from tests.fakes.provider import OWN, machine

CONFIG = "plugin: cluster\ncluster: pond\nnodes: 1\nobject_store: {kind: none}\n"


def play(tmp_path: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    config = tmp_path / "pond.yml"
    config.write_text(CONFIG)
    known = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    program = Path(sys.executable).with_name("ansible-playbook")
    return subprocess.run(
        [program, "-i", config, *words],
        env=known | {"MUSTER_STATE": str(tmp_path / "state"), **environment},
        cwd=PROJECT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def begin(tmp_path: Path) -> None:
    """A cluster of one machine that nobody answers for."""
    state = State(tmp_path / "state" / "pond")
    state.begin(ClusterIdentity("pond", "0123abcd"))
    ensure_login_key(state.key_file, "me")
    master = replace(machine("pond-master"), address="127.0.0.1", ssh_address="127.0.0.1")
    state.journal.pin(master.provider_id, OWN)
    state.save(Snapshot((master,), complete=True))
    ssh_config(state)


@pytest.mark.parametrize(
    ("words", "environment", "said"),
    [
        (["main.yml", "--limit", "pond-master"], {}, "main.yml: cannot be given --limit: "),
        (["submit.yml", "-l", "pond-master"], {}, "submit.yml: cannot be given --limit: "),
        (["main.yml", "--tags", "hadoop"], {}, "main.yml: cannot be given --tags "),
        (["main.yml"], {"ANSIBLE_RUN_TAGS": "foo"}, "main.yml: cannot be given --tags (or ANSIBLE_RUN_TAGS)"),
        (
            ["destroy_cluster.yml", "--skip-tags", "x"],
            {},
            "destroy_cluster.yml: cannot be given --skip-tags ",
        ),
        (["main.yml", "--start-at-task", "Start HDFS"], {}, "main.yml: cannot be given --start-at-task"),
        (
            ["verify.yml"],
            {"ANSIBLE_ROLES_PATH": "/x", "ANSIBLE_LIBRARY": "/y"},
            "ANSIBLE_ROLES_PATH, ANSIBLE_LIBRARY: set",
        ),
    ],
)
def test_what_would_leave_most_of_it_out_is_refused_in_one_line(
    tmp_path: Path, words: list[str], environment: dict[str, str], said: str
) -> None:
    done = play(tmp_path, *words, **environment)
    assert done.returncode != 0
    assert done.stdout == ""
    assert done.stderr.startswith(f"[ERROR]: {said}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "options",
    [
        {"args": ("main.yml",), "tags": ["all"], "skip_tags": (), "subset": None, "start_at_task": None},
        {"args": ("main.yml",), "tags": ("all",), "subset": "all"},
        {"args": ("mine.yml",), "subset": "worker", "tags": ["x"]},
        {"args": "all", "subset": "worker"},  # of the program `ansible`
        {},
    ],
)
def test_what_leaves_nothing_out_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, object]
) -> None:
    (tmp_path / "mine.yml").write_text("- hosts: all\n")
    (tmp_path / "main.yml").symlink_to(PROJECT / "main.yml")
    monkeypatch.chdir(tmp_path)
    check_selectors(options)


def test_every_playbook_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    for book in sorted([*map(Path, READ), *Path("playbooks").rglob("*.yml")]):
        with pytest.raises(MusterError, match=book.name):
            check_selectors({"args": (str(book),), "subset": "worker"})


def test_one_line_names_what_to_unset() -> None:
    check_environment({"ANSIBLE_FORKS": "1", "ANSIBLE_ROLES_PATH": ""})
    with pytest.raises(MusterError, match=r"^ANSIBLE_SSH_ARGS: .*unset ANSIBLE_SSH_ARGS.*\./muster"):
        check_environment({"ANSIBLE_SSH_ARGS": "-o ProxyJump=bastion"})


def test_listing_needs_no_permission(tmp_path: Path) -> None:
    done = play(tmp_path, "main.yml", "--list-tasks", "--tags", "x")
    assert done.returncode == 0, done.stderr


def test_checks_end_well_and_say_what_was_not_done(tmp_path: Path) -> None:
    begin(tmp_path)
    submit = play(tmp_path, "submit.yml", "--check", "-e", "JOB=logistic_regression")
    assert submit.returncode == 0, submit.stdout + submit.stderr
    assert "would submit logistic_regression; nothing was sent, as this is a check only" in submit.stdout
    wrong = play(
        tmp_path, "submit.yml", "--check", "-e", "JOB=logistic_regression", "-e", "PARAMS='size=16 iter=5'"
    )
    assert wrong.returncode != 0 and "unknown parameter 'iter'" in wrong.stdout, wrong.stdout
    (tmp_path / "eyes.yml").write_text("name: eyes\nsource: {folder: eyes}\n")
    ingest = play(tmp_path, "ingest.yml", "--check", "-e", f"SOURCE={tmp_path}/eyes.yml")
    assert "would bring eyes in; nothing was sent" in ingest.stdout, ingest.stdout + ingest.stderr
    verify = play(tmp_path, "verify.yml", "--check")
    assert verify.returncode == 0, verify.stdout + verify.stderr
    assert "pond: nothing was proved, as this is a check only" in verify.stdout


@pytest.mark.parametrize("book", ["submit.yml", "verify.yml"])
def test_a_check_of_what_is_not_there_fails(tmp_path: Path, book: str) -> None:
    done = play(tmp_path, book, "--check", "-e", "JOB=logistic_regression")
    assert done.returncode != 0
    assert "Run start_cluster.yml, then main.yml" in done.stdout


def test_a_name_that_no_playbook_of_a_run_reads_is_told() -> None:
    said = unread({"args": ("submit.yml",)}, ["NUM_NODES", "JOB", "mine"])
    assert said == ["-e NUM_NODES means nothing to submit.yml"]
    assert unread({"args": ("start_cluster.yml", "main.yml")}, ["NUM_NODES", "IMAGE_SIZE"]) == []
    assert unread({"args": ("/home/me/own.yml",)}, ["NUM_NODES"]) == []


def test_every_public_name_is_read_by_a_playbook_of_the_root() -> None:
    assert {name for names in READ.values() for name in names} == public_names()
    # Beside them lie files of the user's: configs, descriptions for ingest, playbooks that import these.
    ours = {path.name for path in PROJECT.glob("*.yml") if "import_playbook: playbooks/" in path.read_text()}
    assert ours == set(READ)
