"""The callback that records plays and roles, in Ansible itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from provision.core.paths import PROJECT
from provision.state.timeline import last_run


def test_two_playbooks_of_one_command_are_recorded_once(tmp_path: Path) -> None:
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(
        json.dumps({"all": {"hosts": {"localhost": {}}, "vars": {"cluster_state_dir": str(tmp_path)}}})
    )
    books = []
    for name in ("start", "main"):
        task = {"name": "Say it", "ansible.builtin.debug": {"msg": name}}
        play = {"name": name, "hosts": "all", "connection": "local", "gather_facts": False, "tasks": [task]}
        books.append(tmp_path / f"{name}.yml")
        books[-1].write_text(json.dumps([play]))
    program = Path(sys.executable).with_name("ansible-playbook")
    done = subprocess.run(
        [program, "-i", inventory, *books],
        env=os.environ | {"ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"), "ANSIBLE_INVENTORY_ENABLED": "yaml"},
        cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert [phase["name"] for phase in last_run(tmp_path)] == ["start", "main"]
