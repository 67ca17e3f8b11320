"""Takes small clusters through a whole life at a real EC2 account and prints what that proved; see README.md.

It asks before it starts, keeps to a number of dollars, and deletes what it made however it ends. What it
asserts is read from the account itself by boto3, as the console shows it, never from what Muster believes;
that takes ec2:DescribeVolumes beside the permissions of docs/ec2.md.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import yaml

ROOT = Path(__file__).resolve().parents[1]
ALIVE = ("pending", "running", "stopping", "stopped")
LIFE = "10m"
"""How long the machines of the second start may live: they must end by themselves after it."""
LATE_S = 1200
"""Seconds within which they must be gone: their life, and what ends them looks every 5 minutes."""
GROUPS: Mapping[str, Any] = {
    "master": {"instance_type": "t3.medium", "memory_gb": 3, "data_disk_gb": 10},
    "worker": {"instance_type": ["t3.small", "t3a.small"], "data_disk_gb": 10},
}


class Stop(Exception):
    """Nothing more is begun; what there is gets deleted. The text is one line."""


@dataclass
class Console:
    """The account, read as its owner reads it. `tag` and `value`: what all of the run's things have."""

    ec2: Any
    cluster: str

    def instances(self, *states: str) -> list[dict[str, Any]]:
        """Return the cluster's instances in these states, as AWS tells them."""
        pages = self.ec2.get_paginator("describe_instances").paginate(Filters=self._ours())
        found = [one for page in pages for group in page["Reservations"] for one in group["Instances"]]
        return [one for one in found if one["State"]["Name"] in (states or ALIVE)]

    def names(self, *states: str) -> list[str]:
        """Return their names, sorted."""
        return sorted(_tag(one, "Name") for one in self.instances(*states))

    def builders(self) -> list[str]:
        """Return the instances of which Muster makes images, whoever's they are."""
        wanted = [{"Name": "tag:muster:cluster", "Values": ["bake-*"]}]
        pages = self.ec2.get_paginator("describe_instances").paginate(Filters=wanted)
        found = [one for page in pages for group in page["Reservations"] for one in group["Instances"]]
        return [one["InstanceId"] for one in found if one["State"]["Name"] in ALIVE]

    def images(self) -> list[dict[str, Any]]:
        """Return this account's images that Muster has made."""
        wanted = [{"Name": "tag-key", "Values": ["muster:recipe"]}]
        return list(self.ec2.describe_images(Owners=["self"], Filters=wanted)["Images"])

    def ends(self, instance: str) -> str:
        """Return what an instance does when it powers itself off: stop or terminate."""
        answer = self.ec2.describe_instance_attribute(
            InstanceId=instance, Attribute="instanceInitiatedShutdownBehavior"
        )
        return str(answer["InstanceInitiatedShutdownBehavior"]["Value"])

    def left(self, images: set[str]) -> list[str]:
        """Return what of the run costs money or clutters the account; `images`: those of before."""
        ours, groups = self._ours(), self.ec2.describe_security_groups
        snapshots = self.ec2.describe_snapshots(
            OwnerIds=["self"], Filters=[{"Name": "tag-key", "Values": ["muster:recipe"]}]
        )["Snapshots"]
        kept = {disk.get("Ebs", {}).get("SnapshotId") for one in self.images() if one["ImageId"] in images
                for disk in one["BlockDeviceMappings"]}  # fmt: skip
        return [
            *(f"instance {one['InstanceId']}" for one in self.instances()),
            *(f"volume {one['VolumeId']}" for one in self.ec2.describe_volumes(Filters=ours)["Volumes"]),
            *(f"group {one['GroupId']}" for one in groups(Filters=ours)["SecurityGroups"]),
            *(f"key {one['KeyName']}" for one in self.ec2.describe_key_pairs(Filters=ours)["KeyPairs"]),
            *(f"image {one['ImageId']}" for one in self.images() if one["ImageId"] not in images),
            *(f"snapshot {one['SnapshotId']}" for one in snapshots if one["SnapshotId"] not in kept),
        ]  # fmt: skip

    def _ours(self) -> list[dict[str, Any]]:
        return [{"Name": "tag:muster:cluster", "Values": [self.cluster]}]


@dataclass
class Smoke:
    """One run: its config file, its commands, what it proved and what it spent."""

    folder: Path
    console: Console
    region: str
    cap: float
    allow_from: str | None = None
    proved: list[str] = field(default_factory=list)

    @property
    def config(self) -> Path:
        """The cluster's config file."""
        return self.folder / "smoke.yml"

    def write(self, **keys: Any) -> None:  # noqa: ANN401  (YAML)
        """Write the config file."""
        fixed = {
            "plugin": "cluster",
            "cluster": self.console.cluster,
            "provider": "ec2",
            "nodes": 2,
            "groups": dict(GROUPS),
            "packages": {"apt": ["hello"]},  # so that its image is nobody else's
            "object_store": {"kind": "none"},
            "budget": {"max_hourly": self.cap},
            "ec2": {"region": self.region},
            **({"allow_from": [self.allow_from]} if self.allow_from else {}),
        }
        self.config.write_text(yaml.safe_dump({**fixed, **keys}, sort_keys=False))

    def muster(self, *words: str, status: int = 0) -> str:
        """Run a command of Muster's and return what it printed. Raises Stop: it ended otherwise."""
        if words[0] not in ("destroy", "cost", "images"):
            self.require_money()
        command = [str(ROOT / "muster"), "-i", str(self.config), *words]
        print(f"  $ {shlex.join(command[:1] + command[3:])}", flush=True)
        environment = os.environ | {"MUSTER_STATE": str(self.folder / "state")}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != status:
            raise Stop(
                f"{words[0]} ended with {done.returncode}: {(done.stderr or done.stdout)[-1500:].strip()}"
            )
        return done.stdout

    def require_money(self) -> None:
        """Raise Stop when what is spent, and an hour of what runs, is more than the cap."""
        spent = sum(
            one["dollars"] + (one["hourly"] or 0) for one in json.loads(self.muster("cost", "--json"))
        )
        if spent > self.cap:
            raise Stop(
                f"an hour more would cost {spent:.2f} dollars in all, more than the cap of {self.cap:.2f}"
            )

    def prove(self, what: str, found: object, wanted: object) -> None:
        """Print and note a proof. Raises Stop when what was found is not what was wanted."""
        if found != wanted:
            raise Stop(f"NOT so: {what}: the account says {found!r}, not {wanted!r}")
        self.note(what)

    def note(self, what: str) -> None:
        """Print and note what a command has proved by ending well."""
        self.proved.append(what)
        print(f"  proved: {what}", flush=True)

    def agree(self) -> None:
        """Compare Muster's books with the account's own list."""
        listed = json.loads(self.muster("list", "--json"))["clusters"]
        mine = {name: state for one in listed if one["cluster"] == self.console.cluster
                for name, state in one["machines"].items()}  # fmt: skip
        theirs = {_tag(one, "Name"): one["State"]["Name"] for one in self.console.instances()}
        self.prove(f"`muster list` and the account agree on {len(theirs)} machines", mine, theirs)


def pair(run: Smoke) -> None:
    """Two machines on demand, from the official image."""
    names = _names(run, 2)
    run.write()
    print(run.muster("plan"))
    begin = time.monotonic()
    run.muster("up")
    run.prove(f"up made {names} in {time.monotonic() - begin:.0f} s", run.console.names("running"), names)
    run.agree()
    run.muster("verify")
    run.note("everything that verify proves")


def stop_and_start(run: Smoke) -> None:
    """Power them off and on."""
    names = _names(run, 2)
    run.muster("stop")
    run.prove("stop powers them off", run.console.names("stopped"), names)
    run.agree()
    run.muster("up")
    run.prove("up boots the same machines", run.console.names("running"), names)


def bake(run: Smoke) -> None:
    """An image of one's own."""
    before = {one["ImageId"] for one in run.console.images()}
    run.muster("images", "bake")
    made = [one for one in run.console.images() if one["ImageId"] not in before]
    run.prove("images bake made an image that can be used", {one["State"] for one in made}, {"available"})
    run.prove("no builder is left", run.console.builders(), [])
    run.muster("images", "bake")
    again = [one for one in run.console.images() if one["ImageId"] not in before]
    run.prove("baked again, nothing is made", len(again), len(made))


def deadline(run: Smoke) -> None:
    """A time to live that is given later ends machines and their bill."""
    before = {run.console.ends(one["InstanceId"]) for one in run.console.instances()}
    run.prove("without a deadline a machine that powers itself off stays", before, {"stop"})
    run.write(ttl=LIFE)
    run.muster("up")
    after = {run.console.ends(one["InstanceId"]) for one in run.console.instances()}
    run.prove("told a deadline, it is deleted then", after, {"terminate"})
    ended = time.monotonic() + LATE_S
    while run.console.instances() and time.monotonic() < ended:
        time.sleep(15)
    run.prove(f"{LIFE} later all have deleted themselves", run.console.instances(), [])
    run.muster("destroy", "--yes")
    run.muster("destroy", "--yes")
    run.note("destroy twice is harmless")


def spot(run: Smoke) -> None:
    """A pair of spot machines of one order, from the image."""
    names = _names(run, 3)
    workers = {**GROUPS["worker"], "spot": True, "on_demand": True}
    run.write(nodes=3, groups={**GROUPS, "worker": workers}, budget={"total": run.cap})
    begin = time.monotonic()
    run.muster("up")
    run.prove(f"up made {names} in {time.monotonic() - begin:.0f} s", run.console.names("running"), names)
    market = sorted(one.get("InstanceLifecycle", "on demand") for one in run.console.instances())
    print(f"  markets: {', '.join(market)}")
    images = {one["ImageId"] for one in run.console.instances()}
    run.prove("from the own image", images <= {one["ImageId"] for one in run.console.images()}, True)
    run.agree()
    run.muster("destroy", "--yes")
    run.muster("destroy", "--yes")
    run.prove("destroy twice is harmless", run.console.instances(), [])


STEPS: tuple[Callable[[Smoke], None], ...] = (pair, stop_and_start, bake, deadline, spot)


@contextmanager
def cleaned(run: Smoke, images: set[str]) -> Iterator[None]:
    """Delete what the run has made, however it ends; what is left all the same is named."""
    try:
        yield
    finally:
        if run.config.exists():
            try:
                run.muster("destroy", "--yes", "--force")
                run.write(packages={})  # no config file needs its image any more
                run.muster("images", "prune", "--yes")
            except Stop as error:
                print(f"  clean-up: {error}", flush=True)
        left = run.console.left(images)
        for thing in left:
            print(f"  LEFT: {thing}", flush=True)
        if not left:
            run.note("nothing is left in the account")


def main() -> int:
    """Ask, run the steps, print what they proved; the status is 0 when all did."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--region", required=True, help="where, for example eu-central-1")
    parser.add_argument("--profile", help="of your AWS settings")
    parser.add_argument("--cap", type=float, default=1.0, help="dollars, at most (default: %(default)s)")
    parser.add_argument(
        "--allow-from", help="network that SSH is for (default: your address, as Amazon sees it)"
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")
    arguments = parser.parse_args()
    session = boto3.Session(profile_name=arguments.profile, region_name=arguments.region)
    account = session.client("sts").get_caller_identity()
    print(
        f"This makes up to 3 machines (t3.medium, t3.small) and an image in account {account['Account']} "
        f"({arguments.region}) as {account['Arn']}, for about an hour, and deletes them again. It costs "
        f"about 0.20 dollars by list prices, and begins nothing more once an hour of what runs would pass "
        f"{arguments.cap:.2f}.\nImages of Muster's that nothing uses are deleted with it."
    )
    if not arguments.yes and input("Go on? [yes/no] ").strip() != "yes":
        return 1
    if arguments.profile:
        os.environ["AWS_PROFILE"] = arguments.profile
    console = Console(session.client("ec2"), f"smoke{secrets.token_hex(2)}")
    folder = Path(tempfile.mkdtemp(prefix="muster-smoke-"))
    run = Smoke(folder, console, arguments.region, arguments.cap, arguments.allow_from)
    print(f"If this is killed: MUSTER_STATE={folder}/state ./muster -i {run.config} destroy")
    try:
        with cleaned(run, {one["ImageId"] for one in console.images()}):
            for step in STEPS:
                print(f"{step.__name__}: {step.__doc__}", flush=True)
                step(run)
    except Stop as error:
        print(f"stopped: {error}", file=sys.stderr)
        return 1
    finally:
        print(f"\n{len(run.proved)} proofs:\n" + "\n".join(f"- {one}" for one in run.proved))
    shutil.rmtree(folder)
    return 0


def _names(run: Smoke, count: int) -> list[str]:
    """Return the names that a cluster of so many machines has, sorted."""
    workers = [f"{run.console.cluster}-worker-{number}" for number in range(1, count)]
    return sorted([f"{run.console.cluster}-master", *workers])


def _tag(thing: Mapping[str, Any], key: str) -> str:
    return next((str(tag["Value"]) for tag in thing.get("Tags", []) if tag["Key"] == key), "")


if __name__ == "__main__":
    sys.exit(main())
