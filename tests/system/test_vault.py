"""Secrets in group_vars/all/vault.yml, in a copy of the project: the checkout never holds one."""

from __future__ import annotations

import os
import pty
import secrets
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from provision.core.paths import PROJECT
from tests.system.lab import BINARIES, COLOUR

WORD = secrets.token_hex(12)
EXAMPLE = "group_vars/all/vault.yml.example"


@pytest.fixture
def copy(ready, tmp_path) -> Path:
    """A copy of the project with the shipped example, filled in and encrypted, as its vault."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    project = tmp_path / "project"
    for name in filter(None, listing.split("\0")):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(PROJECT / name, project / name, follow_symlinks=False)
    example = (project / EXAMPLE).read_text()
    assert "EXAMPLE_TOKEN" in yaml.safe_load(example)["job_secrets"]
    vault = project / "group_vars/all/vault.yml"
    vault.write_text(example.replace("change me", WORD))
    (tmp_path / "password").write_text("open sesame\n")
    command = [
        str(BINARIES / "ansible-vault"),
        "encrypt",
        "--vault-password-file",
        str(tmp_path / "password"),
    ]
    subprocess.run([*command, str(vault)], check=True, capture_output=True, env=ready.environment())
    assert WORD not in vault.read_text() and vault.read_text().startswith("$ANSIBLE_VAULT;")
    return project


def settings(copy: Path) -> dict[str, str]:
    return {"ANSIBLE_CONFIG": str(copy / "ansible.cfg")}


JOB = f'test "$EXAMPLE_TOKEN" = {WORD} && echo the token is there'


def submit(lab) -> list[str]:
    return lab.command("submit.yml", "-e", yaml.safe_dump({"JOB": JOB}, default_flow_style=True).strip())


def test_with_a_password_file(ready, copy):
    known = settings(copy) | {"ANSIBLE_VAULT_PASSWORD_FILE": str(copy.parent / "password")}
    run = ready.run(submit(ready), cwd=copy, settings=known).ok()
    assert "the token is there" in run.output
    assert ready.run(ready.command("start_cluster.yml"), cwd=copy, settings=known).ok().changed == 0


def test_without_the_password_it_is_said(ready, copy):
    ready.run(submit(ready), cwd=copy, settings=settings(copy)).refused("vault")


def test_with_ask_vault_pass(ready, copy):
    """On a terminal, as a person would."""
    command = [*submit(ready), "--ask-vault-pass"]
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(copy)
        os.execvpe(command[0], command, ready.environment() | settings(copy))  # noqa: S606  has a terminal
    said = b""
    answered = False
    while True:
        try:
            block = os.read(terminal, 4096)
        except OSError:  # the other end is closed
            break
        if not block:
            break
        said += block
        if not answered and b"password" in said:
            os.write(terminal, b"open sesame\n")
            answered = True
    _, status = os.waitpid(child, 0)
    text = COLOUR.sub("", said.decode(errors="replace"))
    assert os.waitstatus_to_exitcode(status) == 0, text
    assert "the token is there" in text and "open sesame" not in text
