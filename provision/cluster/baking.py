"""Images: a base system plus a baked layer that holds what the `install` parts of the roles put there.

A layer is known by its recipe key: the digest of everything that decides its content. The same `install`
parts run on a node that was booted from anything else, so there is one code path.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import yaml

from provision.cluster.cluster import Cluster
from provision.cluster.store import StoreLink
from provision.cluster.view import ClusterView
from provision.config.load import load_config
from provision.core import files
from provision.core.errors import CommandFailed
from provision.core.paths import PROJECT, project_root, states_folder
from provision.core.reporter import Reporter
from provision.images import cache
from provision.images.recipe import Recipe
from provision.providers.local import images as local_images
from provision.providers.local.facts import FACTS
from provision.ssh.pinning import Reach
from provision.state.timeline import Subordinate

# What a builder needs while packages are unpacked and class-data archives are made.
BUILDER_CORES, BUILDER_MEMORY_GB = 2, 3
BUILDER = "image-"
"""What the names of builders, which are clusters of one machine, begin with."""


def ensure(recipe: Recipe, reporter: Reporter) -> str:
    """Make the layer of `recipe` unless it is there already; return its key.

    Raises MusterError subclasses: no network, no room, or a package or set-up script that failed.
    """
    _sweep(reporter)
    if recipe.key in local_images.layers():
        return recipe.key
    name = f"{BUILDER}{recipe.key[:8]}"
    with _baking(name, reporter):
        if recipe.key not in local_images.layers():
            _bake(recipe, name, reporter)
    return recipe.key


def _bake(recipe: Recipe, name: str, reporter: Reporter) -> None:
    with ThreadPoolExecutor(max_workers=1) as pool:
        fetching = pool.submit(_fetch_artifacts, recipe, reporter)
        with reporter.phase("base image", "a Debian system, once for all clusters"):
            local_images.ensure_base(reporter)
        fetching.result()
    file = _builder_file(_states() / f"{name}.yml", name)
    cluster = _builder(file, reporter)
    cluster.destroy(force=True)  # what a killed run left
    try:
        cluster.ensure()
        with reporter.phase("bake", ", ".join(recipe.roles)):
            _run_playbook(recipe, file, reporter)
        local_images.commit(cluster.view.identity, recipe.key, {"roles": list(recipe.roles)})
        _log(file).unlink()
    finally:
        cluster.destroy(force=True)
        file.unlink(missing_ok=True)


def _sweep(reporter: Reporter) -> None:
    """Delete the builders of bakes that were killed; those that are at work are locked."""
    for file in _states().glob(f"{BUILDER}*.yml"):
        try:
            with _baking(file.stem):
                if file.exists():
                    _builder(file, reporter).destroy(force=True)
                    file.unlink()
        except BlockingIOError:
            continue


def _states() -> Path:
    return states_folder(project_root())


def _builder(file: Path, reporter: Reporter) -> Cluster:
    """Return the cluster of one machine in which an image is made; it boots from the base image."""

    def base(_: Recipe) -> str:
        return ""

    spec = load_config(file)
    view = ClusterView(spec, root=project_root(file.parent))
    return Cluster(view, reporter=Subordinate(reporter), reach=Reach(), stores=StoreLink(base), bake=base)


def _fetch_artifacts(recipe: Recipe, reporter: Reporter) -> None:
    if "hdfs" in recipe.roles:
        with reporter.phase("artifacts", "Hadoop and Spark"):
            cache.fetch_all(reporter)


def _builder_file(path: Path, name: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    config = {
        "plugin": "cluster",
        "cluster": name,
        "provider": FACTS.name,
        "nodes": 1,
        "groups": {"master": {"cores": BUILDER_CORES, "memory_gb": BUILDER_MEMORY_GB, "data_disk_gb": 0}},
        "object_store": {"kind": "none"},
    }
    files.write(path, yaml.safe_dump(config))
    return path


def _run_playbook(recipe: Recipe, inventory: Path, reporter: Reporter) -> None:
    """Run playbooks/image/install.yml; its output goes to a log, its task names become progress lines."""
    log = _log(inventory)
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    extra = json.dumps({"node_recipe": recipe.as_variable(), "node_recipe_key": recipe.key})
    command = [program, "-i", str(inventory), "playbooks/image/install.yml", "-e", extra]
    environment = os.environ | {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg")}
    with (
        log.open("w", buffering=1) as sink,
        subprocess.Popen(
            command,
            cwd=PROJECT,
            env=environment,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        assert process.stdout is not None  # noqa: S101  PIPE was asked for
        for line in process.stdout:
            sink.write(line)
            if line.startswith("TASK ["):
                reporter.say(f"{inventory.stem}: {line[6:].split(']')[0]}")  # two are made at once
    if process.returncode != 0:
        lines = [line for line in log.read_text().splitlines() if line.strip()]
        raise CommandFailed(
            what="an install step failed while the image was made: " + _reason(lines),
            where=str(log),
            remedy="Mend the package list or the set-up script and run the same command again.",
            status=process.returncode,
            output="\n".join(lines[-12:]),
        )


def _log(inventory: Path) -> Path:
    """Where the output of a builder's playbook lies until its image is made."""
    return inventory.with_suffix(".log")


def _reason(lines: list[str]) -> str:
    """What a failed playbook says of its failure: the first line of the error, not the recap behind it."""
    errors = [line for line in lines if "[ERROR]: " in line or line.startswith("fatal: [")]
    return re.sub(r"^(\[ERROR\]: |fatal: \[.*?\]: )", "", (errors or lines or ["no output"])[0]).strip()[:400]


@contextmanager
def _baking(name: str, waiter: Reporter | None = None) -> Iterator[None]:
    """One process at a time has the builder `name`.

    Args:
        name: the builder's.
        waiter: told when another command has it and is waited for; None raises BlockingIOError instead.
    """
    locks = cache.cache_folder()
    locks.mkdir(parents=True, exist_ok=True)
    with (locks / f".{name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiter is None:
                raise
            with waiter.phase("image", "another command is making it"):
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield
