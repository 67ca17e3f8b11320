"""Clusters at the emulated clouds, whose machines are real ones of this computer; and a store for them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from provision.cluster import baking
from provision.config.load import load_config
from provision.core.paths import PROJECT
from provision.images import recipe
from provision.state.timeline import ConsoleReporter
from tests.emulators.ec2.harness import SECRET_KEY
from tests.emulators.ec2.harness import Emulator as Ec2
from tests.emulators.softlayer.guests import Delays
from tests.emulators.softlayer.machines import Local
from tests.emulators.softlayer.server import API_KEY
from tests.emulators.softlayer.server import Emulator as SoftLayer
from tests.system.lab import Lab, eventually, registry

STORE = "object-store"
LITTLE = {"cores": 1, "memory_gb": 1, "data_disk_gb": 1}
MOVE = """
import json, sys
from provision.providers.local.helper import disks, registry
moves = json.loads(sys.argv[1])
with registry.changing() as state:
    for node in state.nodes.values():
        if node.name in moves:
            path = disks.mount_changes(node) / "upper/etc/systemd/network/10-host0.network"
            path.write_text(path.read_text().replace(f"{node.address}/", f"{moves[node.name]}/"))
            node.address = moves[node.name]
            disks.release(node)
"""


def layer() -> str:
    """Return the key of the baked layer of nodes, made when it is missing."""
    spec = load_config(PROJECT / "inventories" / "local.yml")
    return baking.ensure(recipe.node_recipe(spec, spec.group("worker")), ConsoleReporter())


def move(addresses: Mapping[str, str]) -> None:
    """Give machines of this computer that are off other addresses, by their local names."""
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    command = [*sudo, sys.executable, "-c", MOVE, json.dumps(dict(addresses))]
    subprocess.run(command, cwd=PROJECT, check=True)


class Account(Protocol):
    """An emulated account as the tests see it, whichever provider it is at."""

    little: Mapping[str, Any]
    """The smallest machine, as a group of a config file."""
    groups: Mapping[str, Any]
    """Groups of machines that are large enough for all services."""
    secrets: Sequence[str]
    """What no log, journal or report may tell."""

    def keys(self) -> dict[str, Any]:
        """Return the config file's part that leads here, without groups."""
        ...

    def environment(self, given: dict[str, str]) -> dict[str, str]:
        """Return the environment of a command that finds this account and no other."""
        ...

    def billing(self) -> list[str]:
        """Return the names of the machines that cost money, sorted."""
        ...

    def ordered(self) -> int:
        """Return how many machines were ever ordered."""
        ...

    def left_over(self) -> list[str]:
        """Return what costs money or clutters the account, or should not have happened."""
        ...

    @property
    def network(self) -> str:
        """The id of the local network behind it."""
        ...

    def local_names(self) -> dict[str, str]:
        """Return the local name of each machine by its own."""
        ...


class Ec2Account:
    """An account at the emulator of EC2."""

    little: Mapping[str, Any] = {"instance_type": "t3.medium", **LITTLE, "memory_gb": 3}
    groups: Mapping[str, Any] = {
        "master": {"instance_type": "t3.medium", "memory_gb": 3, "data_disk_gb": 20},
        "worker": {"instance_type": ["t3.small", "t3.medium"], "data_disk_gb": 20},
    }

    def __init__(self, emulator: Ec2) -> None:
        self.emulator = emulator
        self.secrets = [SECRET_KEY]

    def keys(self) -> dict[str, Any]:
        return {"provider": "ec2", "ec2": {"address_service": f"{self.emulator.url}/checkip"}}

    def environment(self, given: dict[str, str]) -> dict[str, str]:
        kept = {key: value for key, value in given.items() if not key.startswith("AWS_")}
        return kept | self.emulator.environment()

    def billing(self) -> list[str]:
        return sorted(one["tags"].get("Name", one["id"]) for one in self.emulator.alive())

    def ordered(self) -> int:
        return sum(order["count"] for order in self.emulator.books()["orders"])

    def left_over(self) -> list[str]:
        return [*self.emulator.left_over(), *self.emulator.books()["violations"]]

    @property
    def network(self) -> str:
        return self.emulator.cluster_id

    def local_names(self) -> dict[str, str]:
        return {one["tags"]["Name"]: one["id"] for one in self.emulator.alive()}


class SoftLayerAccount:
    """An account at the emulator of SoftLayer."""

    little: Mapping[str, Any] = {**LITTLE, "memory_gb": 3, "data_disk_gb": 10}
    groups: Mapping[str, Any] = {
        "master": {"cores": 2, "memory_gb": 3, "data_disk_gb": 20},
        "worker": {"cores": 2, "memory_gb": 2, "data_disk_gb": 20},
    }

    def __init__(self, emulator: SoftLayer) -> None:
        self.emulator = emulator
        self.secrets = [API_KEY]

    def keys(self) -> dict[str, Any]:
        return {
            "provider": "softlayer",
            "softlayer": {"datacenter": ["dal13", "dal10"], "private_only": True},
            "deadlines": {"settle": 5},
        }

    def environment(self, given: dict[str, str]) -> dict[str, str]:
        return self.emulator.environment(given)

    def billing(self) -> list[str]:
        return self.emulator.books.billing()

    def ordered(self) -> int:
        return sum(len(order) for order in self.emulator.books.orders)

    def left_over(self) -> list[str]:
        account = self.emulator
        return [*self.billing(), *account.books.violations, *account.machines.failures]

    @property
    def network(self) -> str:
        return str(self.emulator.machines.id)

    def local_names(self) -> dict[str, str]:
        return {name: name for name in self.billing()}


@contextmanager
def ec2_account(folder: Path, *, baked: bool = True) -> Iterator[Ec2Account]:
    """Make an account at EC2 with real machines; assert that none of them is left on this computer."""
    with Ec2(folder, machines=True, recipes=[layer()] if baked else []) as emulator:
        emulator.set(pending_s=1, stopping_s=0.5, shutting_down_s=0.5)
        yield Ec2Account(emulator)
    assert emulator.cluster_id not in registry()["networks"]


@contextmanager
def softlayer_account(folder: Path, *, baked: bool = True) -> Iterator[SoftLayerAccount]:
    """Make an account at SoftLayer; see `ec2_account`."""
    emulator = SoftLayer(folder, machines=Local(), delays=Delays(provision=0.5, reclaim=0.2))
    try:
        if baked:
            emulator.add_image(f"muster-{layer()}")
        yield SoftLayerAccount(emulator)
    finally:
        sys.stderr.write("\n".join(emulator.machines.failures))  # why a test waited in vain
        emulator.close()
    assert emulator.machines.id not in registry()["networks"]


ACCOUNTS = {"ec2": ec2_account, "softlayer": softlayer_account}


class CloudLab(Lab):
    """A cluster at one or several emulated accounts; the first one is the master's.

    Its machines are the smallest there are unless `groups` says more.
    """

    def __init__(self, folder: Path, *accounts: Account, **keys: Any) -> None:
        self.accounts = accounts
        little = dict(accounts[0].little)
        own: dict[str, Any] = {"groups": {"master": little, "worker": dict(little)}}
        for account in reversed(accounts):
            own |= account.keys()
        super().__init__(folder, "", **{"object_store": {"kind": "none"}, **own, **keys})

    def environment(self) -> dict[str, str]:
        found = super().environment()
        for account in reversed(self.accounts):  # all lead to accounts by HOME; EC2's by variables as well
            found = account.environment(found)
        return found

    def vault(self, secrets: Mapping[str, str]) -> tuple[str, str]:
        """Return the arguments with which a playbook has these secrets, as a vault would have them."""
        path = self.folder.parent / f"{self.name}-vault.yml"
        path.write_text(json.dumps(dict(secrets)))
        return "-e", f"@{path}"

    @property
    def billing(self) -> list[str]:
        """The names of the machines that cost money, sorted."""
        return sorted(name for account in self.accounts for name in account.billing())

    def addresses(self) -> dict[str, str]:
        """Return the address of each machine, as this computer has it."""
        nodes = registry()["nodes"].values()
        there = {(node["cluster_id"], node["name"]): node["address"] for node in nodes}
        return {
            name: there[account.network, local]
            for account in self.accounts
            for name, local in account.local_names().items()
        }

    def nothing_left(self) -> None:
        """Assert that neither the accounts nor this computer have anything left of it."""
        nets = {account.network for account in self.accounts}

        def gone() -> bool:
            found = registry()
            left = [thing for account in self.accounts for thing in account.left_over()]
            left += [name for name in found["networks"] if name in nets]
            left += [node["name"] for node in found["nodes"].values() if node["cluster_id"] in nets]
            assert left == []
            return True

        eventually(gone, 20, "gone")
        assert not self.state_dir.exists()

    def told(self, *more: str) -> list[str]:
        """Return the files of this lab (logs, journals, reports, …) that tell a secret."""
        secrets = [secret.encode() for account in self.accounts for secret in account.secrets]
        secrets += [secret.encode() for secret in more]
        kept = self.state_dir / "secrets"  # the one place where keys of an object store are kept
        return [
            str(path)
            for path in self.folder.rglob("*")
            if path.is_file()
            and not path.is_relative_to(kept)
            and any(secret in path.read_bytes() for secret in secrets)
        ]


@contextmanager
def published(lab: Lab, address: str) -> Iterator[str]:
    """Make the store of a cluster reachable at an address of this computer; yields host:port."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        port = probe.getsockname()[1]
    forward = f"{address}:{port}:{STORE}:8080"
    command = ["ssh", "-F", lab.state_dir / "ssh_config", "-S", "none", "-N", "-L", forward, STORE]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
        try:
            eventually(lambda: listens(address, port), 20, "published")
            yield f"{address}:{port}"
        finally:
            process.terminate()


def listens(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), 1).close()
    except OSError:
        return False
    return True


@contextmanager
def store_elsewhere(lab: Lab, kind: str) -> Iterator[tuple[dict[str, Any], dict[str, str]]]:
    """Let the store of a cluster, which is up for nothing else, stand for one that somebody else runs.

    Yields what a config file says of it, and its keys as a vault has them.
    """
    lab.playbook("start_cluster.yml").ok()
    # A file of the test's own: the project's playbooks work on the whole cluster, or are refused.
    alone = lab.folder / "store.yml"
    alone.write_text(f"- import_playbook: {PROJECT}/playbooks/services.yml\n")
    lab.playbook(str(alone), "--limit", STORE).ok()
    known = json.loads((lab.state_dir / "secrets" / "store.json").read_text())
    keys = {"store_access_key": known["access_key"], "store_secret_key": known["secret_key"]}
    gateway = lab.machines()[lab.master]["address"].rpartition(".")[0] + ".1"
    with published(lab, gateway) as place:
        path = "/auth/v1.0" if kind == "swift" else ""
        yield {"kind": kind, "endpoint": f"http://{place}{path}"}, keys


def checks(lab: Lab) -> dict[str, dict[str, Any]]:
    """Return the proofs of the last verify, by name."""
    report = json.loads((lab.state_dir / "reports" / "verify.json").read_text())
    return {check["name"]: check for check in report["checks"]}
