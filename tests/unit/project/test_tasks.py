"""What a cluster of baked machines is given to do until it is verified: it does not grow unnoticed.

Every task has its price here, for each host, and what runs on a node costs that 0.3 s of CPU. The numbers are
those of today: who lowers one writes it here, who must raise one says why in the commit.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

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


LIMITS = {
    "localhost": Given(validations=0, runs=3),
    "pond-master": Given(validations=9, runs=18),
    "pond-worker-1": Given(validations=8, runs=15),
    "object-store": Given(validations=2, runs=5),
}
AGAIN = {
    "localhost": Given(validations=0, runs=2),
    "pond-master": Given(validations=6, runs=12),
    "pond-worker-1": Given(validations=6, runs=11),
    "object-store": Given(validations=1, runs=3),
}
"""Of main.yml alone, on a cluster that runs."""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cluster of two baked machines and a store, as its state folder knows it."""
    monkeypatch.setenv("MUSTER_STATE", str(tmp_path / "state"))
    path = tmp_path / "pond.yml"
    path.write_text("plugin: cluster\ncluster: pond\nnodes: 2\n")
    spec = load_config(path)
    state = State(tmp_path / "state" / "pond")
    state.begin(ClusterIdentity("pond", "0123abcd"))
    ensure_login_key(state.key_file, "me")
    machines = []
    for number, group in enumerate(spec.groups, 1):
        name = f"pond-{group.name}" + ("" if group.name == "master" else "-1")
        made = replace(machine(name), address=f"10.0.0.{number}", image=node_recipe(spec, group).key)
        state.journal.pin(made.provider_id, OWN)
        machines.append(made)
    state.save(
        Snapshot(tuple(machines), Store("default", "10.0.0.9", OWN, store_recipe().key), complete=True)
    )
    ssh_config(state)
    return path


def given(config: Path, *playbooks: str) -> tuple[dict[str, Given], str]:
    """What each host is given, and all of it in words."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.project.counting", str(config), *playbooks],
        cwd=PROJECT,
        env={key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
        | {"PYTHONPATH": f"{PROJECT}:{PROJECT}/node"},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    kinds = {host: Counter(action == VALIDATION for action, _ in tasks) for host, tasks in found.items()}
    words = [f"{host}: {action}: {name}" for host, tasks in found.items() for action, name in tasks]
    return {host: Given(kind[True], kind[False]) for host, kind in kinds.items()}, "\n".join(words)


@pytest.mark.parametrize(
    ("playbooks", "limits"), [(("start_cluster.yml", "main.yml"), LIMITS), (("main.yml",), AGAIN)]
)
def test_no_host_is_given_more_to_do_than_today(
    config: Path, playbooks: tuple[str, ...], limits: dict[str, Given]
) -> None:
    found, words = given(config, *playbooks)
    assert found.keys() == limits.keys()
    more = {
        host: one
        for host, one in found.items()
        if one.validations > limits[host].validations or one.runs > limits[host].runs
    }
    assert more == {}, words
