"""Builders: clusters of one machine, of which an image is made when the roles' `install` parts are on it.

A builder's config file lies beside the states, and goes last: where one is, a bake goes on or was killed.
"""

from __future__ import annotations

import fcntl
import json
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from provision.cluster.cluster import Cluster
from provision.cluster.store import StoreLink
from provision.cluster.view import ClusterView
from provision.config.load import load_config
from provision.core import files, programs
from provision.core.errors import CommandFailed
from provision.core.paths import PROJECT, project_root, states_folder
from provision.core.reporter import Reporter
from provision.images.recipe import Recipe
from provision.ssh.pinning import Reach
from provision.state.timeline import Subordinate

WATCH_S = 1.0
SHOWN = {
    "ANSIBLE_NOCOLOR": "1",
    "ANSIBLE_FORCE_COLOR": "0",
    "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "true",  # else a task is named when it has ended
}
"""How a builder's playbook prints, so that its tasks can be followed."""


def config_of(name: str) -> Path:
    """Return where the config file of the builder `name` lies."""
    return states_folder(project_root()) / f"{name}.yml"


def write_config(path: Path, provider: str, group: Mapping[str, Any], **keys: Any) -> Path:  # noqa: ANN401
    """Write a builder's config file: one machine without a data disk.

    Args:
        path: where, see `config_of`.
        provider: the machine's.
        group: keys of its group.
        keys: more keys of the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    config = {
        "plugin": "cluster",
        "cluster": path.stem,
        "provider": provider,
        "nodes": 1,
        "groups": {"master": {**group, "data_disk_gb": 0}},
        "object_store": {"kind": "none"},
        **keys,
    }
    files.write(path, yaml.safe_dump(config))
    return path


def builder(file: Path, reporter: Reporter, image: str = "") -> Cluster:
    """Return the cluster of one machine in which an image is made; it boots from `image`, '' = a base."""

    def base(_: Recipe) -> str:
        return image

    spec = load_config(file)
    view = ClusterView(spec, root=project_root(file.parent), daemons=False)
    return Cluster(view, reporter=Subordinate(reporter), reach=Reach(), stores=StoreLink(base), bake=base)


def install(
    recipe: Recipe, inventory: Path, reporter: Reporter, hindrance: Callable[[], str] = str
) -> dict[str, float]:
    """Run playbooks/image/install.yml; its output goes to a log, its task names become progress lines.

    Args:
        recipe: what is installed.
        inventory: the builder's config file.
        reporter: told what is done.
        hindrance: asked every second; what it says, unless it is '', ends the work.

    Returns the seconds that each task took, in their order. Raises CommandFailed, with the reason; the log
    stays then.
    """
    began: list[tuple[str, float]] = []
    log = inventory.with_suffix(".log")
    # In a file: a command line is seen by everybody here, and set-up scripts may hold what is not for them.
    given = inventory.with_suffix(".json")
    # All hosts: a builder that has booted from the layer beneath has what its own config file asks for.
    told = {"node_recipe": recipe.as_variable(), "node_recipe_key": recipe.key, "install_hosts": "cluster"}
    files.write(given, json.dumps(told))
    with (
        log.open("w", buffering=1, encoding="utf-8") as sink,
        subprocess.Popen(
            programs.playbook(["playbooks/image/install.yml"], inventory, {}, ["-e", f"@{given}"]),
            cwd=PROJECT,
            env=programs.playbook_environment() | SHOWN,
            encoding="utf-8",
            errors="replace",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        assert process.stdout is not None  # noqa: S101  PIPE was asked for
        with _watched(process, hindrance) as seen:
            for line in process.stdout:
                sink.write(line)
                if line.startswith(("TASK [", "PLAY RECAP")):
                    task = line.partition("[")[2].partition("]")[0]
                    began.append((task, time.monotonic()))
                    if task:
                        reporter.say(f"{inventory.stem}: {task}")  # two are made at once
    if process.returncode != 0:
        lines = [line for line in log.read_text(encoding="utf-8").splitlines() if line.strip()]
        mend = (
            "Free some, or run `./muster images prune`,"
            if seen
            else "Mend the package list or the set-up script"
        )
        raise CommandFailed(
            what="an install step failed while the image was made: " + (seen or [reason(lines)])[0],
            where=str(log),
            remedy=f"{mend} and run the same command again.",
            status=process.returncode,
            output="\n".join(lines[-12:]),
        )
    took: dict[str, float] = {}
    for (task, begin), (_, end) in pairwise(began):
        took[task] = round(took.get(task, 0) + end - begin, 2)
    return took


@contextmanager
def _watched(process: subprocess.Popen[str], hindrance: Callable[[], str]) -> Iterator[list[str]]:
    """End the process when there is a hindrance; yields a list that has it then."""
    seen: list[str] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(WATCH_S):
            if said := hindrance():
                seen.append(said)
                process.terminate()
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield seen
    finally:
        done.set()
        watcher.join()


def reason(lines: list[str]) -> str:
    """What a failed playbook says of its failure: the first line of the error, not the recap behind it."""
    errors = [line for line in lines if "[ERROR]: " in line or line.startswith("fatal: [")]
    return re.sub(r"^(\[ERROR\]: |fatal: \[.*?\]: )", "", (errors or lines or ["no output"])[0]).strip()[:400]


def end(file: Path, reporter: Reporter) -> None:
    """Delete a builder, whatever there is of it, then its config file. Raises MusterError; again goes on."""
    if file.exists():
        builder(file, reporter).destroy(force=True)
        file.with_suffix(".json").unlink(missing_ok=True)  # what its playbook was given
        file.unlink(missing_ok=True)


def left(prefix: str, locks: Path) -> Iterator[Path]:
    """Yield the config files of builders whose bake was killed, each while nobody else has its lock."""
    for file in sorted(config_of(prefix).parent.glob(f"{prefix}*.yml")):
        try:
            with locked(locks, file.stem):
                if file.exists():
                    yield file
        except BlockingIOError:
            continue


@contextmanager
def locked(folder: Path, name: str, waiter: Reporter | None = None) -> Iterator[None]:
    """One process at a time has the builder `name`.

    Args:
        folder: where its lock lies.
        name: the builder's.
        waiter: told when another command has it and is waited for; None raises BlockingIOError instead.
    """
    with (folder / f".{name}.lock").open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiter is None:
                raise
            with waiter.phase("image", "another command is making it"):
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield
