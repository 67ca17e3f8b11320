"""Rules of ours in the firewall that a computer has, seen from what iptables and nft say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from provision.providers.local.helper import forwarding
from provision.providers.local.helper.registry import Network

NET = Network("0a1b2c3d", "retina", "10.77.1.0/24", 0)
FORWARD = {
    "chain": {"family": "ip", "table": "filter", "name": "FORWARD", "hook": "forward", "policy": "drop"}
}


class Firewall:
    """What there is, and what was done to it. `lines` of iptables: None where it cannot read its tables."""

    def __init__(self, lines: Sequence[str] | None, chains: Sequence[object] = ()) -> None:
        self.lines, self.chains = lines, chains
        self.done: list[str] = []

    def iptables(self, *words: str) -> list[str] | None:
        if self.lines is None:
            return None
        chain = words[1] if len(words) > 1 else ""
        return [line for line in self.lines if not chain or line.split()[1] == chain]

    def run(self, command: Sequence[str], *, stdin: str = "", check: bool = True) -> SimpleNamespace:
        assert check
        if command[:2] == ["nft", "-j"]:
            found = self.chains if command[-1] == "chains" else []
            return SimpleNamespace(stdout=json.dumps({"nftables": found}))
        self.done.append(stdin or " ".join(command))
        return SimpleNamespace(stdout="", returncode=0)


@pytest.fixture
def firewall(monkeypatch: pytest.MonkeyPatch) -> Firewall:
    made = Firewall([])
    monkeypatch.setattr(forwarding, "_iptables", made.iptables)
    monkeypatch.setattr(forwarding, "_program", lambda: "iptables")
    monkeypatch.setattr(forwarding, "run", made.run)
    return made


OURS = f"-i {NET.bridge} -m comment --comment {NET.table} -j ACCEPT"
DOCKER = ["-P FORWARD DROP", "-N DOCKER-USER", "-A FORWARD -j DOCKER-USER", "-A FORWARD -j DOCKER-FORWARD"]


@pytest.mark.parametrize(
    ("lines", "closed", "place"),
    [
        (["-P FORWARD ACCEPT"], False, ""),
        (["-P FORWARD DROP"], True, "FORWARD"),
        (["-P FORWARD ACCEPT", "-A FORWARD -j REJECT --reject-with icmp-host-prohibited"], True, "FORWARD"),
        (["-P FORWARD DROP", f"-A FORWARD {OURS}"], False, ""),
        (DOCKER, True, "DOCKER-USER"),
        ([*DOCKER, f"-A DOCKER-USER {OURS}"], False, ""),
        ([*DOCKER, f"-A FORWARD {OURS}"], False, ""),
        # Docker's chain is there yet, but nothing leads to it any more.
        (["-P FORWARD DROP", "-N DOCKER-USER", f"-A DOCKER-USER {OURS}"], True, "FORWARD"),
    ],
)
def test_iptables_lets_a_network_through_where_it_meets_the_rule(
    firewall: Firewall, lines: list[str], closed: bool, place: str
) -> None:
    firewall.lines = lines
    assert forwarding.closed(NET.table) == ["iptables FORWARD"] * closed
    forwarding.admit(NET)
    assert len(firewall.done) == 3 * closed
    assert all(line.startswith(f"iptables -w -I {place} ") for line in firewall.done)


def test_tables_that_iptables_cannot_read_are_nfts(firewall: Firewall) -> None:
    """A chain of this name that somebody wrote with nft, or that has rules which nft put there."""
    firewall.lines, firewall.chains = None, [FORWARD]
    assert forwarding.closed(NET.table) == ["ip filter FORWARD"]
    forwarding.admit(NET)
    assert len(firewall.done) == 1
    assert firewall.done[0].startswith(f'insert rule ip filter FORWARD iifname "{NET.bridge}" accept')
    firewall.lines = ["-P FORWARD ACCEPT"]
    assert forwarding.closed(NET.table) == [], "iptables' own: asked by iptables alone"


@pytest.mark.parametrize(("booted_since", "after"), [(False, "0"), (True, "1")])
def test_forwarding_is_switched_off_only_where_it_was_switched_on(
    firewall: Firewall, root: Path, monkeypatch: pytest.MonkeyPatch, booted_since: bool, after: str
) -> None:
    """After a reboot it is on because this computer is set up so."""
    switch, boot = root / "ip_forward", root / "boot_id"
    switch.write_text("0")
    boot.write_text("one\n")
    monkeypatch.setattr(forwarding, "SWITCH", switch)
    monkeypatch.setattr(forwarding, "BOOT", boot)
    monkeypatch.setattr(forwarding, "sysctl", lambda name, least: switch.write_text(str(least)))
    forwarding.on()
    assert forwarding.is_on()
    if booted_since:
        boot.write_text("two\n")
    forwarding.off()
    assert switch.read_text() == after
    assert not forwarding.MINE.exists()
    assert firewall.done
