"""One host of the user's: reached with the user's own account and key, its host key pinned."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from provision.core import files
from provision.core.errors import HostKeyMismatch, HostKeyUnknown, NotReady, ProviderError
from provision.core.untrusted import parse_json
from provision.providers.existing.facts import FACTS
from provision.ssh.run import BATCH, NO_CONFIG, SSH_FAILED, ssh_command

NAME = FACTS.name
CONNECT_S = 10
APPROVED = "approved_hosts"
"""File in the cluster's state folder: address and host key, one line each, of hosts that were approved."""


class NotAnswering(ProviderError):
    """A host does not answer by SSH."""


@dataclass(frozen=True)
class Host:
    """How a host is reached. `host_key`: `ssh-ed25519 BASE64`, the only one that is accepted."""

    address: str
    user: str
    key: str
    host_key: str
    private_address: str
    data_device: str

    def ask(
        self, verb: str, request: Mapping[str, Any] | None = None, *, timeout_s: float = 60
    ) -> dict[str, Any]:
        """Let the agent carry out a verb on the host, as root.

        Raises:
            NotAnswering: it does not answer.
            HostKeyMismatch: it shows another host key.
            NotReady: the user may not log in or not become root, or python3 is missing.
            ProviderError: the agent refused, or did not end within `timeout_s`.
        """
        body = json.dumps({**(request or {}), "verb": verb})
        root = "" if self.user == "root" else "sudo -n "
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", prefix="muster-", suffix="-host") as known:
            known.write(f"{self.address} {self.host_key}\n")
            known.flush()
            try:
                done = subprocess.run(
                    self._ssh(known.name, f'{root}/usr/bin/python3 -X utf8 - "$SSH_CONNECTION"'),
                    input=f"{_agent()}\nmain({body!r})\n",
                    capture_output=True,
                    encoding="utf-8",
                    errors="replace",
                    timeout=timeout_s,
                    check=False,
                )
            except subprocess.TimeoutExpired as error:
                raise NotAnswering(
                    provider=NAME,
                    where=self.address,
                    what=f"no answer within {timeout_s:g} s",
                    remedy="Run it again",
                ) from error
        return self._answer(done.returncode, done.stdout, done.stderr)

    def _ssh(self, known_hosts: str, command: str) -> list[str]:
        settings = {
            "StrictHostKeyChecking": "yes",
            "HostKeyAlgorithms": "ssh-ed25519",
            "UserKnownHostsFile": known_hosts,
            "GlobalKnownHostsFile": "none",
            "UpdateHostKeys": "no",
            "ConnectTimeout": str(CONNECT_S),
            "ServerAliveInterval": "15",
            "LogLevel": "ERROR",
        }
        words = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
        key = ["-i", str(Path(self.key).expanduser()), "-o", "IdentitiesOnly=yes"] if self.key else []
        options = (*BATCH, "-T", *words, *key)
        return ssh_command(NO_CONFIG, f"{self.user}@{self.address}", command, options=options)

    def _answer(self, status: int, output: str, errors: str) -> dict[str, Any]:
        said = " ".join((errors.strip().splitlines() or ["no reason given"])[-1].split())
        answer = parse_json(output)
        if not isinstance(answer, dict):
            answer = {}
        if "ok" in answer:
            found: dict[str, Any] = answer["ok"]
            return found
        if "refused" in answer:
            raise ProviderError(
                provider=NAME,
                where=self.address,
                what=answer["refused"],
                remedy="Free the host of it, or use another one",
            )
        if "Host key verification failed" in errors:
            raise HostKeyMismatch(
                machine=self.address,
                what="it shows a host key that is not the pinned one; nothing was sent to it",
                remedy="Find out whether somebody is in between or the host was replaced before going on",
            )
        if status == SSH_FAILED and "Permission denied" in errors:
            raise NotReady(
                where=self.address,
                what=f"{self.user} may not log in by SSH ({said})",
                remedy="Correct user and key of this host in the config file",
            )
        if status == SSH_FAILED:
            raise NotAnswering(
                provider=NAME,
                where=self.address,
                what=f"not reachable by SSH ({said})",
                remedy="Switch it on, or correct its address",
            )
        raise NotReady(
            where=self.address,
            what=f"{self.user} cannot run python3 as root there ({said})",
            remedy="Install python3, and let the user run sudo without a password",
        )


def of_config(entry: Mapping[str, str], state: Path) -> Host:
    """Return a host of the config file, with the key that is pinned there or was approved.

    Raises:
        HostKeyUnknown: neither; the error has the key that the host shows now.
    """
    address = entry["address"]
    key = pinned(entry, state)
    if not key:
        raise unknown(address)
    return Host(
        address=address,
        user=entry.get("user") or "root",
        key=entry.get("key", ""),
        host_key=key,
        private_address=entry.get("private_address") or address,
        data_device=entry.get("data_device", ""),
    )


def pinned(entry: Mapping[str, str], state: Path) -> str:
    """Return the host key of a host of the config file, '' when none was given or approved."""
    return entry.get("host_key") or approved(state).get(entry["address"], "")


def approved(state: Path) -> dict[str, str]:
    """Return the approved host keys, by address."""
    try:
        lines = (state / APPROVED).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    return {line.partition(" ")[0]: line.partition(" ")[2] for line in lines}


def approve(state: Path, keys: Mapping[str, str]) -> None:
    """Remember host keys that the user has compared."""
    files.private_folder(state)
    every = approved(state) | dict(keys)
    files.write(state / APPROVED, "".join(f"{address} {key}\n" for address, key in sorted(every.items())))


def unknown(address: str) -> HostKeyUnknown:
    """Return the error that shows a host's key. Raises NotAnswering when it shows none."""
    done = subprocess.run(
        ["ssh-keyscan", "-T", str(CONNECT_S), "-t", "ed25519", address],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        stdin=subprocess.DEVNULL,
        check=False,
    )
    words = next((line.split() for line in done.stdout.splitlines() if not line.startswith("#")), [])
    if len(words) != 3:
        raise NotAnswering(
            provider=NAME,
            where=address,
            what="shows no ed25519 host key by SSH",
            remedy="Switch it on, or correct its address",
        )
    key = f"{words[1]} {words[2]}"
    return HostKeyUnknown(
        keys={address: key},
        what=f"its host key is not known yet; it shows {fingerprint(key)}",
        where=address,
        remedy="Compare that with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on the host, then add "
        f"to this host in the config file: host_key: {key}",
    )


def fingerprint(key: str) -> str:
    """Return a host key's fingerprint as OpenSSH shows it."""
    digest = hashlib.sha256(base64.b64decode(key.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


@cache
def _agent() -> str:
    return resources.files(__package__).joinpath("agent.py").read_text(encoding="utf-8")
