"""Forwarding on this computer: on while there are nodes, and let through by the firewall that it has.

Docker, ufw and others drop what is forwarded. Rules of ours come first in their chains, with a comment that
says whose they are; by the program that manages the chain, so that its owner can still read it.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

from .registry import BRIDGE, ROOT, Network
from .system import ENVIRONMENT, run, say, sysctl, write

SWITCH = Path("/proc/sys/net/ipv4/ip_forward")
MINE = ROOT / "forwarding"
"""Exists while forwarding is on because we switched it on; holds since which boot."""
BOOT = Path("/proc/sys/kernel/random/boot_id")
DOCKERS = "DOCKER-USER"
"""Docker's place for others' rules: https://docs.docker.com/engine/network/packet-filtering-firewalls/."""
DROPS = re.compile(r"-P FORWARD DROP$|-A FORWARD (.* )?-j (DROP|REJECT)\b")


def is_on() -> bool:
    """Whether this computer forwards packets."""
    return SWITCH.read_text().strip() != "0"


def on() -> None:
    """Switch forwarding on, and remember that it was off."""
    if not is_on():
        write(MINE, BOOT.read_text(), 0o600)
        sysctl("net/ipv4/ip_forward", 1)


def off() -> None:
    """Switch it off again after the last network, unless something else came that needs it."""
    if MINE.exists():
        bridges = json.loads(run(["ip", "-j", "link", "show", "type", "bridge"]).stdout or "[]")
        ours = MINE.read_text() == BOOT.read_text()  # else this computer has it on since it was booted
        if ours and not bridges and not _foreign_chains() and not _iptables_drops():
            SWITCH.write_text("0")
        MINE.unlink()


def closed(tag: str) -> list[str]:
    """The chains that drop forwarded packets and have no rules with this tag."""
    found = [_name(chain) for chain in _foreign_chains() if not _handles(chain, tag)]
    if _iptables_drops() and not any(rule[0] in _iptables_chains() for rule in _iptables_rules(tag)):
        found.append("iptables FORWARD")
    return found


def admit(network: Network) -> None:
    """Let a network's packets through every chain that would drop them; harmless when they are."""
    bridge, tag = network.bridge, network.table
    places = closed(tag)
    for chain in _foreign_chains():
        if _name(chain) in places:
            run(["nft", "-f", "-"], stdin="".join(
                f'insert rule {_name(chain)} {match} accept comment "{tag}"\n'
                for match in (
                    f'iifname "{bridge}"',
                    f'oifname "{bridge}" ct state established,related',
                    f'iifname "{BRIDGE}*" oifname "{bridge}"',
                )
            ))  # fmt: skip
    if "iptables FORWARD" in places:
        first = _iptables_chains()[0]
        for match in (
            ["-i", bridge],
            ["-o", bridge, "-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED"],
            ["-i", f"{BRIDGE}+", "-o", bridge],
        ):
            comment = ["-m", "comment", "--comment", tag]
            run([_program(), "-w", "-I", first, *match, *comment, "-j", "ACCEPT"])
    for place in places:
        say(f"forwarding is dropped by {place}: admitted {network.subnet} (rules tagged {tag})")


def withdraw(tag: str) -> None:
    """Take the rules with this tag away; also from chains that drop no more."""
    for chain in _forward_chains():
        for handle in _handles(chain, tag):
            run(["nft", "delete", "rule", *_name(chain).split(), "handle", str(handle)])
    for rule in _iptables_rules(tag):
        run([_program(), "-w", "-D", *rule])


def _name(chain: dict[str, Any]) -> str:
    return f"{chain['family']} {chain['table']} {chain['name']}"


def _forward_chains() -> list[dict[str, Any]]:
    """Chains of nft that see forwarded packets, but ours and those that iptables keeps there."""
    entries = json.loads(run(["nft", "-j", "list", "chains"]).stdout or "{}").get("nftables", [])
    chains = [entry["chain"] for entry in entries if "chain" in entry]
    return [
        chain
        for chain in chains
        if chain.get("hook") == "forward"
        and chain["family"] in ("ip", "inet")
        and not chain["table"].startswith("muster_")
        and not (_name(chain) == "ip filter FORWARD" and _iptables("-S", "FORWARD") is not None)
    ]


def _foreign_chains() -> list[dict[str, Any]]:
    """Those of them that drop packets: all that they were not told to let through, or some."""
    return [
        chain
        for chain in _forward_chains()
        if chain.get("policy") == "drop" or any({"drop", "reject"} & set(one) for one in _verdicts(chain))
    ]


def _rules(chain: dict[str, Any]) -> list[dict[str, Any]]:
    listing = run(["nft", "-j", "list", "chain", *_name(chain).split()]).stdout
    return [entry["rule"] for entry in json.loads(listing)["nftables"] if "rule" in entry]


def _verdicts(chain: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for rule in _rules(chain) for one in rule.get("expr", []) if isinstance(one, dict)]


def _handles(chain: dict[str, Any], tag: str) -> list[int]:
    return [int(rule["handle"]) for rule in _rules(chain) if rule.get("comment") == tag]


def _program() -> str:
    """iptables, where this computer has it; Docker and ufw bring it along."""
    return shutil.which("iptables", path=ENVIRONMENT["PATH"]) or ""


def _iptables(*words: str) -> list[str] | None:
    """The lines that iptables answers, None where it cannot."""
    if not _program():
        return None
    done = run([_program(), "-w", *words], check=False)
    return None if done.returncode else done.stdout.splitlines()


def _iptables_drops() -> bool:
    return any(DROPS.match(line) for line in _iptables("-S", "FORWARD") or [])


def _iptables_chains() -> list[str]:
    """Those whose first rule all that is forwarded meets, the better place first."""
    jumps = f"-A FORWARD -j {DOCKERS}" in (_iptables("-S", "FORWARD") or [])
    return [DOCKERS, "FORWARD"] if jumps else ["FORWARD"]


def _iptables_rules(tag: str) -> list[list[str]]:
    """The rules with this tag, each as the words that `-A` or `-D` take."""
    rules = [shlex.split(line) for line in _iptables("-S") or [] if line.startswith("-A ")]
    return [rule[1:] for rule in rules if tag in rule]
