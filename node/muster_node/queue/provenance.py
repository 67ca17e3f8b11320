"""Where a run comes from: who sent it, what its program is, which packages it finds."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from muster_node import files

KEYS = Path("/etc/muster/authorized_keys")
PACKAGES = "packages.json"
"""In a run's folder: name -> version of what its program could import when it began."""
MOST_BYTES = 1 << 20
BLOCK = 1 << 20


def sender() -> str:
    """Return whose key has opened this SSH session, '' = not known.

    It is a name of `access`, or `muster-CLUSTER` for the own key of a checkout. sshd says which key it
    was (ExposeAuthInfo), root's files whose that is.
    """
    used = ""
    with suppress(KeyError, OSError):
        used = Path(os.environ["SSH_USER_AUTH"]).read_text()
    shown = {" ".join(line.split()[1:3]) for line in used.splitlines() if line.startswith("publickey ")}
    for path in sorted(KEYS.glob("*")):
        for line in path.read_text().splitlines():
            kind, _, rest = line.partition(" ")
            key, _, owner = rest.partition(" ")
            if f"{kind} {key}" in shown:
                return owner.removeprefix("access:")
    return ""


def digest(folder: Path) -> str:
    """Return the SHA-256 of the names and contents of the files in a folder; '' when there is none."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    whole = hashlib.sha256()
    for path in found:
        one = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                one.update(block)
        whole.update(f"{one.hexdigest()}  {path.relative_to(folder)}\n".encode("utf-8", "surrogateescape"))
    return whole.hexdigest() if found else ""


def note_packages(home: Path, own: Iterable[str]) -> None:
    """Write down the packages that a program finds: this Python's, and those in folders of its own."""
    known: dict[str, str] = {}
    for found in (metadata.distributions(), metadata.distributions(path=list(own))):
        known |= {each.name: each.version for each in found if each.name}
    files.write(home / PACKAGES, json.dumps(dict(sorted(known.items()))))


def packages(home: Path) -> dict[str, str]:
    """Return what `note_packages` wrote; {} before."""
    with suppress(OSError, ValueError, RecursionError):
        found = json.loads(files.read_found(home / PACKAGES, most_bytes=MOST_BYTES))
        if isinstance(found, dict):
            return {str(name): str(version) for name, version in found.items()}
    return {}
