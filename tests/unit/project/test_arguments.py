"""What playbooks give roles is what their `argument_specs.yml` asks for.

Looked at here, for a plain cluster and one with all features, and not on every start: a check is a process for each
role and machine, and the variables come from the config file, which is checked before.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from provision.core.paths import PROJECT
from tests.fakes.pond import pond

BOOKS = [f"playbooks/{name}.yml" for name in ("create", "services", "features", "stage", "verify")]
OFF = "rolespec_validate: false"
EVERYTHING = """
features: [tracking, notebook, launcher]
autostop: 30m
groups: {master: {memory_gb: 8}}
dataset: {name: eyes, source: digits}
"""
CHECKED = "Validating arguments against arg spec"


def checked(folder: Path, more: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run nothing of start_cluster.yml and main.yml but the checks of arguments, which always run."""
    for name in (
        "ansible.cfg",
        "roles",
        "provision",
        "group_vars",
        "node",
        "jobs",
        "apps",
        "requirements-node.txt",
    ):
        (folder / name).symlink_to(PROJECT / name)
    shutil.copytree(PROJECT / "playbooks", folder / "playbooks", symlinks=True)
    for path in (folder / "playbooks").glob("*.yml"):
        path.write_text(path.read_text().replace(OFF, "rolespec_validate: true"))
    config = pond(folder / "pond", 3)
    config.write_text(config.read_text() + more)
    program = Path(sys.executable).with_name("ansible-playbook")
    return subprocess.run(
        [program, "-i", config, *BOOKS, "--tags", "none", *words],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "MUSTER_STATE": str(config.parent / "state")},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("more", ["", EVERYTHING], ids=["plain", "everything"])
def test_roles_are_given_what_they_ask_for(tmp_path: Path, more: str) -> None:
    done = checked(tmp_path, more)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(CHECKED) >= (14 if more else 8)


def test_what_is_of_another_type_would_be_seen(tmp_path: Path) -> None:
    done = checked(tmp_path, "", "-e", '{"verify_wish": "many"}')
    assert done.returncode
    assert "verify_wish" in done.stdout


def test_no_start_checks_what_this_checks() -> None:
    for book in BOOKS:
        text = (PROJECT / book).read_text()
        assert text.count("import_role:\n") == text.count(OFF), "what is included is rare and checked there"
