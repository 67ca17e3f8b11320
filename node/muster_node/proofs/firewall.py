"""The proof that this machine's own firewall is there. Only root can look at it."""

from __future__ import annotations

import subprocess

from muster_node.proofs.plan import Check

CHAIN = ("inet", "muster", "input")
CLOSED = "policy drop;"


def closed() -> tuple[bool, str]:
    """Look whether what comes in is dropped unless a rule of ours lets it in."""
    shown = subprocess.run(
        ["/usr/sbin/nft", "list", "chain", *CHAIN], capture_output=True, text=True, timeout=30, check=False
    )
    if shown.returncode:
        lines = shown.stderr.strip().splitlines() or ["no reason given"]
        return False, f"no table inet muster ({lines[0].removeprefix('Error: ')})"
    return CLOSED in shown.stdout, "closed" if CLOSED in shown.stdout else "it lets everything in"


CHECK = Check(
    "Firewall",
    "Run start_cluster.yml again, which loads it; see `journalctl -u muster-firewall` on the node",
    "closed but for SSH and the cluster",
    closed,
)
