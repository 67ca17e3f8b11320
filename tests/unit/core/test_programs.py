from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from provision.core import programs
from provision.core.paths import PROJECT

FOREIGN = {
    "PYTHONPATH": "/nowhere",
    "PYTHONHOME": "/nowhere",
    "PYTHONSTARTUP": "/nowhere/start.py",
    "PYTHONINSPECT": "1",
    "PYTHONIOENCODING": "latin-1",
    "LC_ALL": "de_DE.ISO-8859-1",
    "LC_MESSAGES": "xx_XX",
    "LANGUAGE": "de",
    "ANSIBLE_CONFIG": "/dev/null",
    "ANSIBLE_ROLES_PATH": "/nowhere",
    "ANSIBLE_INVENTORY_ENABLED": "yaml,ini",
    "ANSIBLE_STRATEGY": "mitogen_linear",
    "ANSIBLE_STDOUT_CALLBACK": "json",
    "ANSIBLE_BECOME_ASK_PASS": "True",
    "ANSIBLE_RUN_TAGS": "foo",
    "ANSIBLE_VAULT_PASSWORD_FILE": "",
}
WANTED = {"ANSIBLE_FORKS": "3", "ANSIBLE_NOCOLOR": "1", "ANSIBLE_VAULT_ID_MATCH": "1", "NO_COLOR": "1"}


@pytest.fixture
def foreign(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**FOREIGN, **WANTED}.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("foreign")
def test_settings_of_other_work_are_left_out() -> None:
    made = programs.playbook_environment()
    ours = {"PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1", "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg")}
    left = {
        name: value
        for name, value in made.items()
        if name.startswith(("PYTHON", "LC_", "LANGUAGE", "ANSIBLE", "NO_"))
    }
    assert left == {**WANTED, **ours, "LC_ALL": programs.LOCALE}


def test_a_module_runs_from_a_place_that_no_script_can_name(tmp_path: Path) -> None:
    command = programs.module("ansible.cli.playbook", "--version")
    done = subprocess.run(command, env=programs.environment(), cwd=tmp_path, capture_output=True, check=True)
    assert b"ansible-playbook" in done.stdout or b"core" in done.stdout
