"""A cluster of baked machines that are not there, as its state folder knows it, and what playbooks give them to do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from provision.config.load import load_config
from provision.core.model import ClusterIdentity
from provision.core.paths import PROJECT
from provision.images.recipe import node_recipe, store_recipe
from provision.ssh.files import ssh_config
from provision.ssh.keys import ensure_login_key
from provision.state.folder import Snapshot, State, Store
from tests.fakes.provider import OWN, machine

VALIDATION = "ansible.builtin.validate_argument_spec"
"""Ansible adds one for each entry of a role; it runs here."""


@dataclass(frozen=True)
class Given:
    """Tasks of one host: arguments checked here, and what runs there."""

    validations: int
    runs: int


def pond(folder: Path, nodes: int) -> Path:
    """Return the config file of a cluster of that size, with a store; its state is in FOLDER/state."""
    folder.mkdir(exist_ok=True)
    path = folder / "pond.yml"
    path.write_text(f"plugin: cluster\ncluster: pond\nnodes: {nodes}\n")
    spec = load_config(path)
    state = State(folder / "state" / "pond")
    state.begin(ClusterIdentity("pond", "0123abcd"))
    ensure_login_key(state.key_file, "me")
    ensure_login_key(state.secrets / "queue", "queue")
    for secret in ("spark", "engines"):
        state.secret(secret)
    (state.secrets / "store.json").write_text(json.dumps({"access_key": "pond", "secret_key": "water"}))
    machines = []
    for number in range(nodes):
        group = spec.group("worker" if number else "master")
        name = f"pond-worker-{number}" if number else "pond-master"
        made = replace(machine(name), address=f"10.0.0.{number + 1}", image=node_recipe(spec, group).key)
        state.journal.pin(made.provider_id, OWN)
        machines.append(made)
    store = Store("default", "10.0.1.1", OWN, store_recipe().key)
    state.save(Snapshot(tuple(machines), store, complete=True))
    ssh_config(state)
    return path


def given(config: Path, *playbooks: str) -> tuple[Mapping[str, Given], str]:
    """Return what each host of a `pond` is given, and all of it in words."""
    strange = ("ANSIBLE_", "MUSTER_")
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.project.counting", str(config), *playbooks],
        cwd=PROJECT,
        env={key: value for key, value in os.environ.items() if not key.startswith(strange)}
        | {"PYTHONPATH": f"{PROJECT}:{PROJECT}/node", "MUSTER_STATE": str(config.parent / "state")},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    kinds = {host: Counter(action == VALIDATION for action, _ in tasks) for host, tasks in found.items()}
    words = [f"{host}: {action}: {name}" for host, tasks in found.items() for action, name in tasks]
    return {host: Given(kind[True], kind[False]) for host, kind in kinds.items()}, "\n".join(words)
