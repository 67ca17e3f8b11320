"""The proof of the firewall."""

from __future__ import annotations

import json
import subprocess
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from muster_node.proofs import checks, firewall
from muster_node.proofs.plan import make
from provision.core.paths import PROJECT

CHAIN = (
    "table inet muster {\n\tchain input {\n\t\ttype filter hook input priority filter; policy %s;\n\t}\n}\n"
)
GONE = "Error: No such file or directory\nlist chain inet muster input\n"


@pytest.mark.parametrize(
    ("status", "output", "errors", "ok", "found"),
    [
        (0, CHAIN % "drop", "", True, "closed"),
        (0, CHAIN % "accept", "", False, "it lets everything in"),
        (1, "", GONE, False, "no table inet muster (No such file or directory)"),
    ],
)
def test_a_machine_whose_firewall_is_gone_is_found(
    monkeypatch: pytest.MonkeyPatch, status: int, output: str, errors: str, ok: bool, found: str
) -> None:
    done = SimpleNamespace(returncode=status, stdout=output, stderr=errors)
    monkeypatch.setattr(firewall.subprocess, "run", lambda *_, **__: done)
    made = make(firewall.CHECK)
    assert (made.ok, made.found) == (ok, found)
    assert ("start_cluster.yml" in made.remedy) is not ok


def test_without_nft_it_is_short_not_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: Any, **__: Any) -> None:
        raise FileNotFoundError(2, "No such file or directory", "/usr/sbin/nft")

    monkeypatch.setattr(firewall.subprocess, "run", run)
    assert make(firewall.CHECK).ok is False


def test_every_node_proves_it_as_root_and_everything_else_as_jobs_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done: list[str] = []

    def look(*_: Any, **__: Any) -> SimpleNamespace:
        done.append("firewall")
        return SimpleNamespace(returncode=0, stdout=CHAIN % "drop", stderr="")

    monkeypatch.setattr(subprocess, "run", look)
    monkeypatch.setattr(checks, "become", done.append)
    monkeypatch.setattr(checks, "checks", lambda _: done.append("others") or [])
    monkeypatch.setattr(checks.sys, "argv", ["muster-verify", "{}"])
    assert checks.main() == 0
    assert done == ["firewall", "hadoop", "others"]
    assert [check["name"] for check in json.loads(capsys.readouterr().out)["checks"]] == ["Firewall"]
    (task,) = yaml.safe_load((PROJECT / "roles/verify/tasks/main.yml").read_text())
    assert task["become"] is True
    assert task["ansible.builtin.command"]["argv"][0] == "/opt/muster/bin/muster-verify"
