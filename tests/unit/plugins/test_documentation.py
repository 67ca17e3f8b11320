"""What `ansible-doc` shows of the plugins."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from provision.core.paths import PROJECT

PLUGINS = PROJECT / "provision" / "plugins"
TYPES = {"modules": "module", "inventory": "inventory", "callback": "callback"}
DOCUMENTED = [
    (kind, path.stem)
    for folder, kind in TYPES.items()
    for path in sorted((PLUGINS / folder).glob("*.py"))
    if "\nDOCUMENTATION = " in path.read_text()
]


def test_there_are_documented_plugins_of_each_type():
    assert {kind for kind, _ in DOCUMENTED} == set(TYPES.values())


@pytest.mark.parametrize(("kind", "name"), DOCUMENTED)
def test_ansible_can_read_it(kind: str, name: str):
    command = [str(Path(sys.executable).with_name("ansible-doc")), "--type", kind, name]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0 and name in done.stdout, done.stderr
    assert "ERROR" not in done.stderr, done.stderr
