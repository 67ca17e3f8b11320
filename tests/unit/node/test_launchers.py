"""Every launcher that the role `node` makes starts a program of the library."""

from __future__ import annotations

import ast

import yaml

from provision.core.paths import PROJECT

LIBRARY = PROJECT / "node" / "muster_node"


def test_launchers_start_programs() -> None:
    (task,) = yaml.safe_load((PROJECT / "roles/node/tasks/configure.yml").read_text())
    programs = [entry["vars"]["program"] for entry in task["muster_files"]["files"] if "vars" in entry]
    assert len(programs) > 8
    for program in programs:
        module = ast.parse((LIBRARY / f"{program.replace('.', '/')}.py").read_text())
        assert "main" in [item.name for item in module.body if isinstance(item, ast.FunctionDef)], program


def test_the_master_alone_has_the_queue() -> None:
    """By this program user-data tells the master from the others, which go on until the deadline."""
    assert "muster-job " not in (PROJECT / "roles/node/tasks/configure.yml").read_text().replace(",", " ")
    assert (
        "if [ -x /opt/muster/bin/muster-job ]"
        in (PROJECT / "provision/templates/user-data.yml.j2").read_text()
    )


def test_who_calls_a_program_calls_one_that_is_there() -> None:
    (task,) = yaml.safe_load((PROJECT / "roles/node/tasks/configure.yml").read_text())
    made = {entry["dest"].rpartition("/")[2] for entry in task["muster_files"]["files"]}
    made |= {"muster-job", "muster-runs"}  # role jobs
    texts = [
        path.read_text(errors="replace")
        for folder in ("roles", "node", "provision", "templates")
        for path in (PROJECT / folder).rglob("*")
        if path.suffix in (".yml", ".j2", ".py", ".service", ".sh")
    ]
    called = {
        word.partition("/opt/muster/bin/")[2].strip("\"'],;}`")
        for text in texts
        for word in text.split()
        if "/opt/muster/bin/muster-" in word
    }
    assert {name for name in called if name} <= made
