"""Which commands there are, and what each imports: how soon it answers, told by what no other load changes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from provision.commands import catalogue
from provision.commands.catalogue import COMMANDS
from provision.core.paths import PROJECT
from tests.fakes.provider import World, cluster

HELP = {"typer", "shellingham", "annotated_doc"}
COMMAND = HELP | {"pydantic", "pydantic_core", "annotated_types", "typing_extensions", "typing_inspection"}
"""Typer reads the options of commands with pydantic."""
CONFIG = COMMAND | {"yaml", "cython_runtime"}
ANSWER = CONFIG | {"jinja2", "markupsafe"}
SLOW = {"asyncio", "unittest", "xmlrpc", "xml"}
"""Of the standard library: what no command needs to answer."""

RUN = """
import sys
systems = set(sys.modules)  # what this Python starts with, wherever it comes from
import contextlib, io, json
from pathlib import Path
from provision import cli
from provision.commands import invocation
invocation.PROJECT = Path(sys.argv[1])
if "local" in sys.argv[2]:
    from provision.providers.local.provider import LocalProvider
    LocalProvider.list = LocalProvider.everything = LocalProvider.check_ready = lambda *_: []
with contextlib.redirect_stdout(io.StringIO()) as printed:
    status = cli.main(sys.argv[3:])
print(json.dumps([status, printed.getvalue(), list(set(sys.modules) - systems)]))
"""


def run(root: Path, *words: str, provider: str = "local") -> tuple[str, set[str]]:
    """What a command that succeeds prints, and the modules that its process has in the end."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(root), provider, *words],
        env={**os.environ, "PYTHONPATH": f"{PROJECT}:{PROJECT}/node"},
        capture_output=True,
        text=True,
        check=True,
    )
    status, printed, modules = json.loads(done.stdout)
    assert status == 0, done.stderr
    return printed, set(modules)


def foreign(modules: set[str]) -> set[str]:
    """Packages that others wrote, without those that only their own C code needs."""
    packages = {name.partition(".")[0] for name in modules} - {"provision", "muster_node"}
    return {name for name in packages - sys.stdlib_module_names if not name.startswith("_")}


def ours(modules: set[str]) -> set[str]:
    return {name for name in modules if name.startswith("provision.")}


@pytest.fixture
def retina(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root of a project with one cluster, which is up; its master answers nothing."""
    monkeypatch.setenv("MUSTER_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    (tmp_path / "ssh").write_text("#!/bin/sh\n")
    (tmp_path / "ssh").chmod(0o755)
    (tmp_path / "inventories").mkdir()
    config = "plugin: cluster\ncluster: retina\nprovider: local\nnodes: 2\nobject_store: {kind: none}\n"
    (tmp_path / "inventories" / "local.yml").write_text(config)
    cluster(World(), tmp_path, 2).ensure()
    return tmp_path


def test_each_module_has_the_commands_that_the_catalogue_says() -> None:
    for module in {module for module, _ in COMMANDS.values()}:
        family = typer.Typer()
        catalogue.import_module(f"provision.commands.{module}").register(family)
        found = {command.name for command in family.registered_commands}
        found |= {group.name for group in family.registered_groups}
        assert found == {name for name, (of, _) in COMMANDS.items() if of == module}


def test_help_imports_no_command_and_little_else(tmp_path: Path) -> None:
    printed, modules = run(tmp_path, "--help", provider="")
    assert all(f"  {name} " in printed and line in printed for name, (_, line) in COMMANDS.items())
    assert foreign(modules) <= HELP
    assert not SLOW & modules
    assert {name for name in ours(modules) if not name.startswith("provision.core")} == {
        "provision.cli", "provision.commands", "provision.commands.catalogue", "provision.commands.invocation",
        "provision.commands.output",
    }  # fmt: skip


def test_help_of_a_command_imports_neither_clouds_nor_clusters(tmp_path: Path) -> None:
    code = """
import sys
systems = set(sys.modules)
import contextlib, io, json
from provision import cli
seen = {}
for name in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()):
        assert cli.main([name, "--help"]) == 0
    seen[name] = list(set(sys.modules) - systems)
print(json.dumps(seen))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps([*COMMANDS])], cwd=PROJECT, capture_output=True, check=True
    )
    for name, modules in json.loads(done.stdout).items():
        assert foreign(set(modules)) <= COMMAND, name
        assert not SLOW & set(modules), name
        assert not [m for m in modules if m.startswith(("provision.cluster", "provision.config"))], name


@pytest.mark.parametrize(
    ("command", "foreigners"),
    [("status", ANSWER), ("list", CONFIG), ("plan", CONFIG), ("timeline", CONFIG), ("cost", COMMAND)],
)
def test_what_a_command_imports_to_answer(retina: Path, command: str, foreigners: set[str]) -> None:
    _, modules = run(retina, "-i", str(retina / "inventories" / "local.yml"), command)
    assert foreign(modules) <= foreigners
    assert not SLOW & modules


def test_status_asks_the_master_and_opens_no_cluster(retina: Path) -> None:
    _, modules = run(retina, "status", "--json")
    assert "provision.services.live" in modules
    assert "provision.cluster.cluster" not in modules
