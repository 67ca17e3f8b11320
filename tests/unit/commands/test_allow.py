"""allow: what it takes, and what it says of what has changed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from provision import cli
from provision.cluster.cluster import Cluster
from provision.cluster.sources import Change
from provision.cluster.view import ClusterView
from provision.core.model import Plan
from provision.costs import offer


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], bool]]:
    """What the cluster is asked for; the answers are all that can change."""
    asked: list[tuple[list[str], bool]] = []

    def allow(_: Cluster, networks: Sequence[str], *, only: bool) -> Change:
        asked.append((list(networks), only))
        return Change(tuple(networks), ("192.0.2.9/32",) if only else ())

    monkeypatch.setattr(Cluster, "allow", allow)
    monkeypatch.setenv("MUSTER_STATE", str(tmp_path / "state"))
    (tmp_path / "pond.yml").write_text("plugin: cluster\ncluster: pond\n")
    monkeypatch.setenv("MUSTER_INVENTORY", str(tmp_path / "pond.yml"))
    return asked


def test_networks_and_addresses(
    asked: list[tuple[list[str], bool]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["allow", "203.0.113.7", "198.51.100.0/24"]) == 0
    assert cli.main(["allow", "203.0.113.7", "--only"]) == 0
    assert cli.main(["allow"]) == 0
    assert asked == [(["203.0.113.7/32", "198.51.100.0/24"], False), (["203.0.113.7/32"], True), ([], False)]
    assert [line.removeprefix("muster: ") for line in capsys.readouterr().err.splitlines()] == [
        "may log in from now on: 203.0.113.7/32, 198.51.100.0/24",
        "may log in from now on: 203.0.113.7/32",
        "may not log in any more: 192.0.2.9/32",
        "nothing to do: it is so already",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("2001:db8::/64", "'2001:db8::/64' is IPv6, and machines are reached by IPv4 alone. Write it like"),
        ("203.0.113.7/24", "Write 203.0.113.0/24, or 203.0.113.7/32"),
        ("home", "is no address or network"),
    ],
)
def test_anything_else_is_one_line(
    asked: list[tuple[list[str], bool]], capsys: pytest.CaptureFixture[str], text: str, words: str
) -> None:
    assert cli.main(["allow", text]) == 1
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1 and not asked


def test_plan_says_what_is_open_to_everybody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MUSTER_STATE", str(tmp_path / "state"))
    file = tmp_path / "pond.yml"
    file.write_text("plugin: cluster\ncluster: pond\nprovider: ec2\nallow_from: [0.0.0.0/0]\n")
    monkeypatch.setattr(ClusterView, "offer", lambda *_, **__: SimpleNamespace(plan=Plan()))
    monkeypatch.setattr(offer, "lines", lambda _: [])
    assert cli.main(["-i", str(file), "plan"]) == 0
    assert "allow_from: 0.0.0.0/0 lets a good part of the internet try to log in" in capsys.readouterr().out
