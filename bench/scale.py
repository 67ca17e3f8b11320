"""Times clusters of 10, 100 and 1,000 machines that are not there; see README.md beside this file."""

from __future__ import annotations

import argparse
import base64
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from provision.cluster.cluster import Cluster
from provision.cluster.store import StoreLink
from provision.cluster.view import ClusterView
from provision.config.load import load_config
from provision.images.recipe import Recipe
from provision.ssh.pinning import Reach
from provision.state.folder import Target
from provision.state.timeline import ConsoleReporter

ROOT = Path(__file__).resolve().parents[1]
SIZES = (10, 100, 1000)
LARGE = 1000
"""The targets below are for so many machines."""
CPU_LIMIT_S = 60.0
INVENTORY_LIMIT_S = 3.0
STEPS = ("plan", "create", "destroy")
LOOKS = {"DescribeInstances", "getVirtualGuests"}
MARKS = {"CreateTags", "setTags", "editObject", "deleteObject"}
ORDERS = {"RunInstances", "TerminateInstances", "createObjects"}


class NoSsh(Reach):
    """There are no machines: each is taken as reached, with a host key that somebody could have."""

    def pin_own_key(self, *_: object, pinned: Callable[[str], None], **__: object) -> str:
        """See `Reach.pin_own_key`."""
        blob = b"\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20" + os.urandom(32)
        pinned(key := f"ssh-ed25519 {base64.b64encode(blob).decode()}")
        return key

    def check(self, target: Target, *_: object, **__: object) -> None:
        """See `Reach.check`."""


@dataclass(frozen=True)
class Spent:
    """What one step took: calls of the API by name, and seconds of its own process alone."""

    calls: Counter[str]
    wall: float
    cpu: float
    told: str = ""


def main() -> int:
    """Measure; return 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--provider", choices=("ec2", "softlayer"), action="append")
    parser.add_argument("--nodes", type=int, action="append", help=f"instead of {SIZES}")
    parser.add_argument("--step", nargs=3, metavar=("STEP", "FILE", "RESULT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        return step(*options.step, *options.nodes or ())
    sizes, missed = options.nodes or SIZES, []
    for provider in options.provider or ("ec2", "softlayer"):
        print(f"{provider}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
        print(f"{'nodes':>6} {'calls':>6} {'looks':>6} {'orders':>6} {'marks':>6} {'others':>6}", end="")
        print("".join(f"{name:>17}" for name in STEPS), f"{'all':>16} {'inventory':>16}")
        others = {}
        for nodes in sizes:
            with tempfile.TemporaryDirectory() as folder, ACCOUNTS[provider](Path(folder)) as environment:
                spent, inventory = journey(provider, nodes, Path(folder), environment)
            calls = sum((one.calls for one in spent.values()), Counter[str]())
            cpu = sum(one.cpu for one in spent.values())
            wall = sum(one.wall for one in spent.values())
            parts = [sum(calls[name] for name in kind) for kind in (LOOKS, ORDERS, MARKS)]
            others[nodes] = calls.total() - sum(parts)
            print(f"{nodes:>6} {calls.total():>6}", *(f"{n:>6}" for n in (*parts, others[nodes])), end="")
            print("".join(f"{one.wall:>8.1f}/{one.cpu:>4.1f} CPU" for one in spent.values()), end="")
            print(f"{wall:>8.1f}/{cpu:>4.1f} CPU{inventory.wall:>8.1f}/{inventory.cpu:>4.1f} CPU", flush=True)
            if nodes >= LARGE and cpu > CPU_LIMIT_S:
                missed.append(f"{provider}: {cpu:.1f} s of CPU for {nodes} nodes, not {CPU_LIMIT_S:g}")
            if nodes >= LARGE and inventory.wall > INVENTORY_LIMIT_S:
                missed.append(
                    f"{provider}: {inventory.wall:.1f} s for the inventory, not {INVENTORY_LIMIT_S:g}"
                )
        if len(set(others.values())) > 1:
            missed.append(f"{provider}: calls that are no looks, orders or marks grow with nodes: {others}")
    for line in missed:
        print(f"missed: {line}")
    return 1 if missed else 0


def journey(
    provider: str, nodes: int, folder: Path, environment: Mapping[str, str]
) -> tuple[dict[str, Spent], Spent]:
    """Plan, create, list and destroy a cluster; return what each step took, and the inventory."""
    file = folder / "scale.yml"
    file.write_text(yaml.safe_dump(configuration(provider, nodes, environment), sort_keys=False))
    environment = {**environment, "MUSTER_STATE": str(folder / "state")}

    def do(name: str) -> Spent:
        result = folder / "calls.json"
        spent = in_a_process([sys.executable, __file__, "--step", name, str(file), str(result)], environment)
        return replace(spent, calls=Counter(json.loads(result.read_text())))

    spent = {name: do(name) for name in STEPS[:2]}
    ansible = str(Path(sys.executable).with_name("ansible-inventory"))
    inventory = in_a_process([ansible, "-i", str(file), "--list", "--export"], environment)
    if len(json.loads(inventory.told)["cluster"]["hosts"]) != nodes:
        raise RuntimeError("the inventory is not complete")
    return {**spent, "destroy": do("destroy")}, inventory


def in_a_process(command: Sequence[str], environment: Mapping[str, str]) -> Spent:
    """Run a step in a process of its own, as the commands do; its imports count."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        begin = time.monotonic()
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=errors)
        _, status, used = os.wait4(process.pid, 0)
        wall = time.monotonic() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        errors.seek(0)
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)} failed: {errors.read().decode()[-2000:]}")
        return Spent(Counter(), wall, used.ru_utime + used.ru_stime, out.read().decode())


def step(name: str, file: str, result: str, wish: int = 0) -> int:
    """Be that process. `wish`: the size that is asked for, 0 = the file's."""
    calls = counted()
    view = ClusterView(load_config(Path(file), {"NUM_NODES": wish} if wish else {}), root=ROOT)
    cluster = Cluster(
        view, reporter=ConsoleReporter(), reach=NoSsh(), stores=StoreLink(no_image), bake=no_image
    )
    do: dict[str, Callable[[], object]] = {
        "plan": view.offer,
        "create": cluster.ensure,
        "destroy": partial(cluster.destroy, force=True),
    }
    do[name]()
    Path(result).write_text(json.dumps(calls))
    return 0


def no_image(_: Recipe) -> str:
    """Return the key of no image: machines that are not there boot from nothing."""
    return ""


def counted() -> Counter[str]:
    """Return a count, by name, of the API calls that this process makes from now on."""
    import botocore.client
    import SoftLayer

    calls: Counter[str] = Counter()
    lock = threading.Lock()

    def count(owner: type, method: str, name: Callable[..., str]) -> None:
        real = getattr(owner, method)

        def call(*given: Any, **named: Any) -> Any:  # noqa: ANN401
            with lock:
                calls[name(*given)] += 1
            return real(*given, **named)

        setattr(owner, method, call)

    count(botocore.client.BaseClient, "_make_request", lambda _, operation, *__: operation.name)
    count(SoftLayer.XmlRpcTransport, "__call__", lambda _, request: request.method)
    return calls


def configuration(provider: str, nodes: int, environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the content of a config file."""
    sizes: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "ec2": ({"instance_type": "t3.medium"}, {"instance_type": "t3.small"}),
        "softlayer": ({"cores": 2, "memory_gb": 4}, {"cores": 2, "memory_gb": 2}),
    }
    master, worker = ({**size, "data_disk_gb": 100} for size in sizes[provider])
    blocks = {
        "ec2": {"address_service": f"{environment.get('AWS_ENDPOINT_URL')}/checkip"},
        "softlayer": {"datacenter": ["dal13"], "domain": "example.com", "private_only": True},
    }
    return {
        "plugin": "cluster",
        "cluster": "scale",
        "provider": provider,
        "nodes": nodes,
        "groups": {"master": master, "worker": worker},
        "object_store": {"kind": "none"},
        provider: blocks[provider],
    }


@contextmanager
def ec2(folder: Path) -> Iterator[dict[str, str]]:
    """Emulate EC2; yields the environment that leads to it."""
    from tests.emulators.ec2.harness import Emulator

    with Emulator(folder / "home") as emulator:
        yield clean() | emulator.environment()


@contextmanager
def softlayer(folder: Path) -> Iterator[dict[str, str]]:
    """Emulate SoftLayer; yields the environment that leads to it."""
    home = folder / "home"
    command = [sys.executable, "-m", "tests.emulators", "softlayer", str(home), "--paper"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            if process.stdout is None or not process.stdout.readline():
                raise RuntimeError("the emulator does not start")
            yield clean() | {"HOME": str(home)}
        finally:
            process.terminate()


def clean() -> dict[str, str]:
    """Return this environment without what leads to anybody's account or settings."""
    strange = ("AWS_", "SL_", "MUSTER_", "ANSIBLE_", "MOTO_")
    return {key: value for key, value in os.environ.items() if not key.startswith(strange)}


ACCOUNTS = {"ec2": ec2, "softlayer": softlayer}

if __name__ == "__main__":
    sys.exit(main())
