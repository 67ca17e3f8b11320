"""What the tests of the provider `ec2` share: a config on the emulator, orders, a cluster without real SSH."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from provision.cluster.cluster import Cluster
from provision.cluster.store import StoreLink
from provision.cluster.view import ClusterView
from provision.config.load import load_config
from provision.config.wish import MACHINES_VARIABLE, scaled
from provision.core.model import ClusterIdentity, CreateRequest, Machine, NodeState
from provision.core.names import machine_name
from provision.core.spec import ClusterSpec
from provision.planning.plan import make_plan
from provision.providers.ec2.provider import Ec2Provider
from provision.ssh.keys import ensure_login_key
from provision.ssh.pinning import Reach
from provision.state.folder import State, Target
from tests.emulators.ec2.harness import Emulator
from tests.fakes.provider import SilentReporter, no_image, silent_queue

IDENTITY = ClusterIdentity("retina", "0123abcd")
OWN = "ssh-ed25519 " + "A" * 68
TOKEN = "0" * 32


@dataclass
class Cloud:
    """A config file and the emulator that it leads to."""

    emulator: Emulator
    folder: Path

    def spec(self, nodes: int = 3, *, groups: dict[str, Any] | None = None, **keys: Any) -> ClusterSpec:
        """Return a config; `ec2` in `keys` is added to what it needs anyway."""
        data = {
            "plugin": "cluster",
            "cluster": "retina",
            "provider": "ec2",
            "nodes": nodes,
            "groups": {
                "master": {"instance_type": "t3.medium", "data_disk_gb": 10},
                "worker": {"instance_type": "t3.small", "data_disk_gb": 10},
                **(groups or {}),
            },
            "object_store": {"kind": "none"},
            **keys,
            "ec2": {"address_service": f"{self.emulator.url}/checkip", **keys.get("ec2", {})},
        }
        path = self.folder / "retina.yml"
        path.write_text(yaml.safe_dump(data, sort_keys=False))
        return load_config(path)

    def provider(self, nodes: int = 3, **keys: Any) -> Ec2Provider:
        """Return the provider of a new process, with the cluster's state begun."""
        state = self.folder / "state" / "retina"
        state.mkdir(parents=True, exist_ok=True)
        ensure_login_key(state / "id_ed25519", "muster-retina")
        return Ec2Provider(self.spec(nodes, **keys), state)

    def cluster(self, nodes: int = 3, *, experiments: int | None = None, **keys: Any) -> Cluster:
        """Return the cluster of a new process; SSH alone is not real. `experiments`: machines for them."""
        spec = scaled(self.spec(nodes, **keys).sized(nodes), {MACHINES_VARIABLE: experiments})
        return Cluster(
            ClusterView(spec, root=self.folder, queue=silent_queue),
            reporter=SilentReporter(),
            reach=NoSsh(),
            stores=StoreLink(no_image),
            bake=no_image,
        )

    def settled(self, wish: int) -> None:
        """Assert that there are as many machines as wished, each once, and that none was ever there twice."""
        books = self.emulator.books()
        alive = [one for one in books["instances"] if one["state"] in ("pending", "running")]
        assert len(alive) == wish, alive
        assert books["violations"] == []
        tokens = [order["token"] for order in books["orders"]]
        assert len(tokens) == len(set(tokens))


class NoSsh(Reach):
    """Every machine answers, with the same key."""

    def pin_own_key(
        self, target: Target, key_file: Path, *, deadline_s: float, pinned: Any, stop: Any
    ) -> str:
        pinned(OWN)
        return OWN

    def check(self, target: Target, key_file: Path, **_: Any) -> None:
        assert target.host_key == OWN

    def run_as_root(self, state: State, names: Sequence[str], command: str) -> dict[str, str]:
        return {}

    def ask_as_root(self, state: State, target: Target, script: str, *, timeout_s: float) -> str:
        return '{"left": {}}'

    def close_shared(self, state: State) -> None:
        pass


def order(
    provider: Ec2Provider, group: str = "worker", count: int = 2, *, token: str = TOKEN, **more: Any
) -> CreateRequest:
    """Return a create request for the first machines of a group."""
    found = provider.spec.group(group)
    return CreateRequest(
        **{
            "cluster": IDENTITY,
            "group": found,
            "names": tuple(machine_name("retina", group, number) for number in range(1, count + 1)),
            "token": token,
            "user_data": "#cloud-config\n",
            "image": "",
            "labels": {"data_disk_gb": str(found.data_disk_gb)},
            "ssh_from": ("198.51.100.7/32",),
            **more,
        }
    )


def check(provider: Ec2Provider, wish: int = 3) -> None:
    """Ask the provider whether the whole cluster can be made."""
    provider.check_ready(provider.spec, make_plan(provider.spec.sized(wish), []))


def names(machines: Sequence[Machine]) -> list[str]:
    return sorted(machine.name for machine in machines if machine.state is not NodeState.GONE)
