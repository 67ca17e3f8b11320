"""Launches Flintrock and Muster in turn on the same machines behind the emulator of EC2; see README.md.

Run it as `.venv/bin/python -m bench.flintrock`, as root.
"""

from __future__ import annotations

import argparse
import datetime
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

import boto3
import yaml

from bench.flint import archives
from bench.flint.launch import Took, Tool, destroy, launch
from bench.journey import machine
from bench.scale import clean
from muster_node.needed import NEEDED
from provision.cluster import baking
from provision.config.load import load_config
from provision.core import files
from provision.core.paths import PROJECT
from provision.core.spec import Packages
from provision.images import cache
from provision.images.recipe import Recipe, node_recipe
from provision.providers.local import client
from provision.state.timeline import ConsoleReporter
from tests.emulators import hardware
from tests.emulators.ec2 import images
from tests.emulators.ec2.harness import REGION, SECRET_KEY, Emulator
from tests.strangers import programs
from tests.system.leftovers import alone

HERE = Path(__file__).parent / "flint"
NODES = 3
TYPE, MEMORY_GB = "t3.medium", 3
LOAD = "load when it began"
ROWS: Mapping[str, Callable[[Took], float | None]] = {
    "all registered, s": lambda took: took.registered_s,
    "the command has returned, s": lambda took: took.returned_s,
    "nodes until registered, s of CPU": lambda took: took.nodes_cpu_s,
    "this computer until registered, s of CPU": lambda took: took.own_cpu_s,
    "both until registered, s of CPU": lambda took: took.nodes_cpu_s + took.own_cpu_s,
    "this computer, whole command, s of CPU": lambda took: took.own_cpu_whole_s,
    "calls of EC2 until registered": lambda took: took.calls,
    LOAD: lambda took: took.load,
}


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    way = parser.add_mutually_exclusive_group()
    way.add_argument(
        "--image", action="store_true", help="Java in Flintrock's image, Muster's own baked (default)"
    )
    way.add_argument("--bare", action="store_true", help="Debian's official image for both")
    parser.add_argument("--pairs", type=int, default=2, help="launches of each (default: %(default)s)")
    parser.add_argument(
        "--whole", action="store_true", help="--bare: do not interrupt Muster once all is registered"
    )
    options = parser.parse_args()
    if os.geteuid():
        sys.exit("bench.flintrock looks into the machines of this computer: run it as root")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="muster-flintrock-")))
        # As tests do, so that none of theirs takes these machines for some that a killed run has left.
        stack.enter_context(alone(files.private_folder(cache.cache_folder(), readable=True) / "tests.lock"))
        took = measure(
            stack, folder, options.pairs, bare=options.bare, whole=options.whole or not options.bare
        )
    print(told(took, bare=options.bare))


def measure(stack: ExitStack, folder: Path, pairs: int, *, bare: bool, whole: bool) -> dict[str, list[Took]]:
    """Launch both in turn; return what each launch took, by tool."""
    theirs, ours = ("", "") if bare else layers(stack)
    if bare:
        hardware.call("image-base", {})
    sources = stack.enter_context(archives.served(archives.pack(folder)))
    emulator = stack.enter_context(
        Emulator(folder / "aws", machines=True, recipes=[*filter(None, (theirs, ours))])
    )
    emulator.set(pending_s=1, stopping_s=0.5, shutting_down_s=0.5, policy=False)
    ami = f"ami-0{theirs}" if theirs else images.DEBIAN
    tools = (flintrock(folder, emulator, ami, sources), muster(folder, emulator))
    took: dict[str, list[Took]] = {tool.name: [] for tool in tools}
    for pair in range(1, pairs + 1):
        for tool in tools:
            log = folder / f"{tool.name}.log"
            one = launch(tool, emulator, log, whole=whole or tool is tools[0])
            took[tool.name].append(one)
            destroy(tool, emulator, log)
            print(
                f"pair {pair}: {tool.name}: {tool.daemons} + {tool.daemons} registered, {one}",
                file=sys.stderr,
            )
    return took


def layers(stack: ExitStack) -> tuple[str, str]:
    """Return the keys of two layers over one base: Flintrock's (removed at the end), and our nodes'."""
    spec, java = load_config(PROJECT / "inventories" / "local.yml"), archives.versions()["java"]
    packages = (f"openjdk-{java}-jre-headless", *sorted(set(NEEDED.values())))
    theirs = baking.ensure(Recipe(roles=("base", "node"), packages=Packages(apt=packages)), ConsoleReporter())
    stack.callback(client.call, "image-remove", {"keys": [theirs]})
    return theirs, baking.ensure(node_recipe(spec, spec.group("worker")), ConsoleReporter())


def flintrock(folder: Path, emulator: Emulator, ami: str, sources: Mapping[str, str]) -> Tool:
    """Return Flintrock with one master and two slaves."""
    key, wanted = folder / "key", archives.versions()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    public = key.with_suffix(".pub").read_text().strip()
    data = (HERE / "user-data.yml").read_text().replace("@KEY@", public).replace("@REGION@", REGION)
    (folder / "user-data.yml").write_text(f"#cloud-config\n{data}")
    shell = programs.Shell(emulator.environment(), (programs.install(),))
    account = boto3.session.Session(aws_access_key_id=emulator.access_key, aws_secret_access_key=SECRET_KEY)
    ec2 = account.client("ec2", region_name=REGION, endpoint_url=emulator.url)
    ec2.import_key_pair(KeyName="bench", PublicKeyMaterial=public.encode())
    program = [str(shell.folders[0] / "python"), "-P", str(HERE / "client.py")]
    services = [
        "--install-hdfs", f"--hdfs-version={wanted['hadoop']}", f"--hdfs-download-source={sources['hadoop']}",
        f"--spark-version={wanted['spark']}", f"--spark-download-source={sources['spark']}",
        f"--java-version={wanted['java']}",
    ]  # fmt: skip
    machines = [
        f"--ec2-region={REGION}", f"--ec2-ami={ami}", f"--ec2-instance-type={TYPE}", "--ec2-user=ec2-user",
        "--ec2-key-name=bench", f"--ec2-identity-file={key}", f"--ec2-user-data={folder / 'user-data.yml'}",
        "--ec2-authorize-access-from=198.51.100.7",
    ]  # fmt: skip
    launch = [*program, "launch", "theirs", f"--num-slaves={NODES - 1}", "--assume-yes", *services, *machines]
    end = [*program, "destroy", "theirs", "--assume-yes", f"--ec2-region={REGION}"]
    return Tool("Flintrock", launch, end, shell.environment, "theirs-master", NODES, NODES - 1)


def muster(folder: Path, emulator: Emulator) -> Tool:
    """Return Muster with three machines, the master a worker, too."""
    file = folder / "ours.yml"
    group = {"instance_type": TYPE, "memory_gb": MEMORY_GB, "data_disk_gb": 20}
    config = {
        "plugin": "cluster", "cluster": "ours", "provider": "ec2", "nodes": NODES,
        "groups": {"master": group, "worker": dict(group)}, "object_store": {"kind": "none"},
        "ec2": {"address_service": f"{emulator.url}/checkip"},
    }  # fmt: skip
    file.write_text(yaml.safe_dump(config, sort_keys=False))
    environment = clean() | emulator.environment() | {"MUSTER_STATE": str(folder / "state")}
    words = [str(PROJECT / "muster"), "-i", str(file)]
    return Tool(
        "Muster", [*words, "up"], [*words, "destroy", "--yes"], environment, "ours-master", NODES, NODES
    )


def told(took: Mapping[str, list[Took]], *, bare: bool) -> str:
    """Return the table: each launch in its order, the ratio of each pair, and the medians."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    today, theirs, ours = f"{datetime.datetime.now(tz=datetime.UTC):%-d %B %Y}", *took.values()
    lines = [
        f"{today}, commit {commit.stdout.strip()}, {machine()}",
        f"{NODES} x {TYPE} with {MEMORY_GB} GiB, {'official image' if bare else 'images'}: Flintrock, Muster",
    ]
    for name, row in ROWS.items():
        pairs = [(row(one), row(other)) for one, other in zip(theirs, ours, strict=True)]
        known = [(one, other) for one, other in pairs if one is not None and other is not None]
        if known:
            each = "  ".join(f"{one:.1f} / {other:.1f}" for one, other in known)
            ratio = statistics.median(one / other for one, other in known if other)
            middle = " / ".join(f"{statistics.median(side):.1f}" for side in zip(*known, strict=True))
            lines.append(f"{name:<41} {each}   median {middle}" + f", ratio {ratio:.2f}" * (name != LOAD))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
