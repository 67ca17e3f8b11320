"""The provider in front of an emulated account whose machines are on paper, and clusters on it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import yaml

from provision.cluster.cluster import Cluster
from provision.cluster.view import ClusterView
from provision.config.load import load_config
from provision.core.errors import Unreachable
from provision.core.model import ClusterIdentity, CreateRequest
from provision.core.spec import ClusterSpec
from provision.providers.softlayer.provider import SoftLayerProvider
from provision.ssh.pinning import Reach
from provision.state.folder import State, Target
from tests.emulators.softlayer.machines import address
from tests.emulators.softlayer.server import Emulator
from tests.fakes.provider import OWN, FakeStores, SilentReporter, World, no_image, silent_queue

IDENTITY = ClusterIdentity("retina", "0123abcd")
TOKEN = "f" * 16
CONFIG: dict[str, Any] = {
    "plugin": "cluster",
    "cluster": "retina",
    "provider": "softlayer",
    "nodes": 3,
    "groups": {
        "master": {"cores": 2, "memory_gb": 4, "data_disk_gb": 100},
        "worker": {"cores": 2, "memory_gb": 2, "data_disk_gb": 100},
    },
    "object_store": {"kind": "none"},
    "deadlines": {"boot": 5, "settle": 0.1},
    "softlayer": {"datacenter": ["dal13", "dal10"], "domain": "example.com"},
    "allow_from": ["203.0.113.0/24"],
}


class KilledError(BaseException):
    """The process was killed here; like SIGKILL, nothing of the program may catch it."""


class EmulatedReach(Reach):
    """SSH to machines on paper: they answer when they have booted."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.early: list[str] = []

    def _answer(self, target: Target, stop: Any) -> None:
        stop()
        machines = self.emulator.machines
        booted = [guest for guest in machines.booted if address(guest) == target.address]
        if not booted:
            self.early.append(target.name)
            raise Unreachable(
                machines=[target.name],
                what="not reachable by SSH after 2 s",
                remedy="Run the same command again",
            )

    def pin_own_key(
        self, target: Target, key_file: Path, *, deadline_s: float, pinned: Any, stop: Any
    ) -> str:
        self._answer(target, stop)
        pinned(OWN)
        return OWN

    def check(
        self, target: Target, key_file: Path, *, deadline_s: float, unfinished: bool, stop: Any
    ) -> None:
        self._answer(target, stop)

    def ask_as_root(self, state: State, target: Target, script: str, *, timeout_s: float) -> str:
        self._answer(target, lambda: None)
        return '{"left": {}}'

    def close_shared(self, state: State) -> None:
        pass


@dataclasses.dataclass
class Account:
    """One emulated account and a folder for the states of clusters."""

    emulator: Emulator
    folder: Path

    @property
    def books(self) -> Any:
        return self.emulator.books

    def spec(self, **keys: Any) -> ClusterSpec:
        """Return a config; `softlayer` is laid over the usual block."""
        block = {**CONFIG["softlayer"], **keys.pop("softlayer", {})}
        file = self.folder / "retina.yml"
        file.write_text(yaml.safe_dump({**CONFIG, **keys, "softlayer": block}))
        return load_config(file)

    def provider(self, **keys: Any) -> SoftLayerProvider:
        return SoftLayerProvider(self.spec(**keys), self.folder)

    def request(
        self, count: int = 1, *, group: str = "worker", token: str = TOKEN, **keys: Any
    ) -> CreateRequest:
        """Return a request for workers."""
        wanted = self.spec(**keys).group(group)
        names = tuple(f"retina-{group}-{number}" for number in range(1, count + 1))
        labels = {"cores": str(wanted.cores), "memory_gb": f"{wanted.memory_gb:g}", "data_disk_gb": "100"}
        return CreateRequest(IDENTITY, wanted, names, token, "#cloud-config\n", "", labels)

    def cluster(self, nodes: int = 3, **keys: Any) -> Cluster:
        """A new process's view of the cluster: everything but the account and the disk is made anew."""
        spec = self.spec(**keys).sized(nodes)
        return Cluster(
            ClusterView(spec, root=self.folder, queue=silent_queue),
            reporter=SilentReporter(),
            reach=EmulatedReach(self.emulator),
            stores=FakeStores(World()),
            bake=no_image,
        )

    def close(self) -> None:
        self.emulator.close()
