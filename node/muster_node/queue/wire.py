"""From the queue to another machine of the cluster: SSH, with a key that opens nothing but the verbs below.

The key is the cluster's, made for this alone; `muster-away@.service` has it. On the other machine it is the
user hadoop's, with a forced command (`muster-runs wire`), and only from this machine's address.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

from muster_node.queue.placing import Machine

VERBS = frozenset(("submit", "follow", "bundle", "cancel", "checkpoint", "forget"))
"""What the key may ask for; `muster-job` has them all."""
KEY = "queue-key"
"""The credential of the unit that has the private key."""
KNOWN_HOSTS = Path("/etc/muster/queue_hosts")
USER = "hadoop"
LOST = 255
"""Exit status of ssh when there was no connection, or none any more."""
CONNECT_S, ALIVE_S, ALIVE_TIMES = 10, 5, 3
"""A connection is given up when nothing was heard for ALIVE_S x ALIVE_TIMES seconds."""


def arguments(machine: Machine, *words: str, key: Path | None = None) -> list[str]:
    """Return the arguments of ssh that ask another machine for one of VERBS; `key`: not the unit's."""
    options = {
        "BatchMode": "yes",
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": str(KNOWN_HOSTS),
        "GlobalKnownHostsFile": "none",
        "HostKeyAlias": machine.name,
        "ConnectTimeout": str(CONNECT_S),
        "ServerAliveInterval": str(ALIVE_S),
        "ServerAliveCountMax": str(ALIVE_TIMES),
    }
    key = key or Path(os.environ.get("CREDENTIALS_DIRECTORY", "/nowhere"), KEY)
    settings = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    return ["-F", "none", "-T", "-i", str(key), *settings, f"{USER}@{machine.address}", *words]


def ask(machine: Machine, *words: str, within_s: float = 90) -> int:
    """Ask another machine for something that has no answer; return the exit status, LOST = not reached."""
    try:
        return subprocess.run(
            ["ssh", *arguments(machine, *words)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=within_s,
            check=False,
        ).returncode
    except subprocess.TimeoutExpired:
        return LOST


def asked(line: str) -> Sequence[str]:
    """Return the words that came by the wire ($SSH_ORIGINAL_COMMAND). Raises ValueError: not for this key."""
    words = shlex.split(line)
    if not words or words[0] not in VERBS:
        raise ValueError("this key is for the queue of jobs")
    return words
