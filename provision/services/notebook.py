"""JupyterLab and the engines of a cluster, seen from here: what opens them, and whether they are there."""

from __future__ import annotations

import hashlib
import json
import ssl
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from muster_node.engines.settings import CLIENT_PORTS, LOOPBACK, REGISTRATION, Settings, machine_of
from muster_node.notebook import kernels
from provision.core import files
from provision.core.errors import CommandFailed, MusterError
from provision.core.names import JOB_USER
from provision.core.untrusted import parse_json
from provision.ssh.run import run_on

PORT = kernels.PORT
CHANNELS = {"registration": REGISTRATION, **CLIENT_PORTS}
"""Ports of the master that a client of the engines connects to, by channel."""
_READ = f"cat {kernels.FOLDER}/ca.pem && echo && cat {kernels.FOLDER}/token"
_ENGINES = "/opt/muster/bin/muster-engines"
_ANSWER_S = 30.0


@dataclass(frozen=True)
class Door:
    """What opens JupyterLab: its token, and the certificate (PEM) of the authority that vouches for it."""

    token: str = field(repr=False)
    authority: str

    @property
    def fingerprint(self) -> str:
        """The certificate's SHA-256, as browsers show it."""
        digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(self.authority)).hexdigest().upper()
        return ":".join(digest[at : at + 2] for at in range(0, len(digest), 2))

    def address(self, port: int) -> str:
        """Return what opens it in a browser, where `port` of this computer leads there."""
        return f"https://127.0.0.1:{port}/lab?token={self.token}"


@dataclass(frozen=True)
class Engines:
    """Those that have joined, by name; how many are wished on each machine; the keys of a client."""

    there: tuple[str, ...]
    wished: Mapping[str, int]
    key: str = field(repr=False)
    public: str = field(repr=False)

    @property
    def lacking(self) -> str:
        """In words, on which machines engines are missing; '' when none is."""
        found = Counter(map(machine_of, self.there))
        short = [
            f"{found[name]} of {count} on {name}"
            for name, count in self.wished.items()
            if found[name] < count
        ]
        return ", ".join(short)


def door(config: Path, master: str) -> Door:
    """Ask the master for what opens JupyterLab. Raises MusterError."""
    try:
        authority, _, token = run_on(config, master, _READ, user=JOB_USER, timeout_s=_ANSWER_S).rpartition(
            "\n\n"
        )
    except CommandFailed:
        raise _not_started(master) from None
    found = Door(token.strip(), f"{authority.strip()}\n")
    if not found.token.isalnum() or "BEGIN CERTIFICATE" not in authority:
        raise _not_started(master)
    return found


def engines(config: Path, master: str) -> Engines:
    """Ask the master which engines have joined. Raises MusterError."""
    try:
        told = parse_json(run_on(config, master, _ENGINES, user=JOB_USER, timeout_s=_ANSWER_S))
        if told is None:
            raise ValueError
        wished = {str(name): int(count) for name, count in told["wished"].items()}
        return Engines(tuple(map(str, told["engines"])), wished, str(told["key"]), str(told["public"]))
    except (CommandFailed, ValueError, TypeError, KeyError, AttributeError):
        raise _not_started(master) from None


def connection_file(path: Path, engines: Engines, ports: Mapping[str, int]) -> None:
    """Write what ipyparallel.Client takes, for this user alone.

    Nothing in it but the keys comes from a machine: it tells a client what to import, and where to connect.

    Args:
        path: the file.
        engines: whose keys it has.
        ports: of this computer, by channel.
    """
    known = Settings(LOOPBACK, "", 0, key=engines.key, public=engines.public)
    files.write(path, json.dumps(known.for_clients(ports), indent=1) + "\n")


def _not_started(master: str) -> MusterError:
    return MusterError(
        what="the notebook is not there yet, or does not answer", where=master, remedy="Run ./muster up"
    )
