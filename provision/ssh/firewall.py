"""From where a machine's own firewall lets SSH in: one rule in a file of its own, which the rest includes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from provision.core.networks import PRIVATE, merged

PATH = "/etc/muster/allow.nft"
"""On every machine. User-data makes it, the role base keeps it, `./muster allow` changes it."""
_RULES = "/etc/muster/firewall.nft"


def rule(networks: Sequence[str]) -> str:
    """Return the rule that lets SSH in from networks; none = from everywhere."""
    return (
        f"ip saddr {{ {', '.join(merged(networks))} }} tcp dport 22 accept"
        if networks
        else "tcp dport 22 accept"
    )


def networks_of(text: str) -> tuple[str, ...]:
    """Return the networks that a rule names, but for the private ones that need not be said."""
    return tuple(one for one in re.findall(r"\d+\.\d+\.\d+\.\d+(?:/\d+)?", text) if one not in PRIVATE)


def command(networks: Sequence[str]) -> str:
    """Return the command (for root) that puts the rule in force on a machine, now and after its next boot."""
    steps = [
        "set -e",
        f"printf '%s\\n' {shlex.quote(rule(networks))} > {PATH}.new",
        f"chmod 600 {PATH}.new",
        f"mv {PATH}.new {PATH}",
        f"nft -f {_RULES}",
    ]
    return f"sh -c {shlex.quote('; '.join(steps))}"
