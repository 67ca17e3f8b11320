"""Machines that stand for hosts which a user has already: own account, own key, own rules, own hosts entries."""

from __future__ import annotations

import secrets
import subprocess
from pathlib import Path
from typing import Any

from provision.config.load import load_config
from provision.core.model import ClusterIdentity, CreateRequest
from provision.core.paths import PROJECT
from provision.core.spec import NodeGroup
from provision.images.recipe import NODE_ROLES, Recipe
from provision.providers.local.provider import LocalProvider
from tests.names import MARK
from tests.system.lab import eventually

INVENTORY = PROJECT / "inventories" / "local.yml"
USER_DATA = """\
#cloud-config
ssh_deletekeys: false
ssh_genkeytypes: []
users:
  - name: me
    sudo: "ALL=(ALL) NOPASSWD:ALL"
    shell: /bin/bash
    ssh_authorized_keys: [{key}]
bootcmd:
  - [cloud-init-per, instance, key, ssh-keygen, -q, -t, ed25519, -N, "", -f, /etc/ssh/ssh_host_ed25519_key]
  - [cloud-init-per, instance, other, ssh-keygen, -q, -t, ecdsa, -N, "", -f, /etc/ssh/ssh_host_ecdsa_key]
  - - cloud-init-per
    - instance
    - rules
    - sh
    - -c
    - |
      echo '192.0.2.7 printer' >> /etc/hosts
      nft add table inet mine
      nft add chain inet mine watch '{{ type filter hook input priority 10; }}'
"""


class Hosts:
    """Hosts of one user, in a subnet of their own; `image` is the baked layer, or '' for plain Debian."""

    def __init__(self, folder: Path, count: int, *, baked: bool = True, memory_gb: float = 3) -> None:
        self.key = folder / "me"
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key], check=True)
        self.identity = ClusterIdentity(f"{MARK}theirs", secrets.token_hex(4))
        self.provider = LocalProvider(load_config(INVENTORY), Path("/none"))
        public = self.key.with_suffix(".pub").read_text().strip()
        group = NodeGroup("host", "local", count, 2, memory_gb, 0)
        names = tuple(f"theirs-{self.identity.id[:4]}-{number}" for number in range(1, count + 1))
        request = CreateRequest(
            self.identity,
            group,
            names,
            "t",
            USER_DATA.format(key=public),
            Recipe(roles=NODE_ROLES).key if baked else "",
        )
        self.addresses = [machine.address for machine in self.provider.create(request)]
        self.host_keys = [
            eventually(lambda address=address: scan(address), 30, f"a host key of {address}")
            for address in self.addresses
        ]

    def entries(self) -> list[dict[str, Any]]:
        """Return the hosts as a config file names them."""
        return [
            {"address": address, "user": "me", "key": str(self.key), "host_key": key}
            for address, key in zip(self.addresses, self.host_keys, strict=True)
        ]

    def ssh(self, number: int, script: str) -> str:
        """Run a script on a host as the user does; return what it printed."""
        words = ["-o", "StrictHostKeyChecking=yes", "-o", f"UserKnownHostsFile={self.known_hosts()}"]
        command = ["ssh", "-F", "none", "-i", self.key, *words, f"me@{self.addresses[number]}", script]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    def known_hosts(self) -> Path:
        """Return a file with the host keys."""
        path = self.key.with_name("known")
        lines = zip(self.addresses, self.host_keys, strict=True)
        path.write_text("".join(f"{address} {key}\n" for address, key in lines))
        return path

    def close(self) -> None:
        """Take them away."""
        self.provider.delete(self.identity, self.provider.list(self.identity))


def scan(address: str) -> str:
    """Return the host key that an address shows, '' while it shows none."""
    done = subprocess.run(
        ["ssh-keyscan", "-T", "2", "-t", "ed25519", address], capture_output=True, text=True, check=False
    )
    return next((line.partition(" ")[2] for line in done.stdout.splitlines() if line[:1] != "#"), "")
