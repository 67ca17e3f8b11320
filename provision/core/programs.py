"""Programs of this environment as children: they work alike whatever the caller's settings are.

They are started as modules, not by the scripts of `.venv`, which name the place they were installed in.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from provision.core.paths import PROJECT

LOCALE = "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8"
"""A locale with UTF-8 that every computer has; Ansible refuses to start in any other."""
_LEFT_OUT = re.compile(r"PYTHON|LC_|LANGUAGE$|_?ANSIBLE_")
_KEPT = re.compile(
    r"ANSIBLE_(VAULT_\w+|ASK_VAULT_PASS|FORKS|VERBOSITY|NOCOLOR|FORCE_COLOR|COLOR_\w+|LOG_PATH|DEBUG)"
)


def module(name: str, *words: str) -> list[str]:
    """Return the command line of a module of this environment."""
    return [sys.executable, "-P", "-m", name, *words]


def environment() -> dict[str, str]:
    """Return this process's environment: our programs first, UTF-8, no settings of Python's or Ansible's.

    Of Ansible's those stay that change nothing of what is done: the vault's password, forks, verbosity,
    colours. What a program prints is seen as it comes, also in a file or a pipe.
    """
    kept = {name: value for name, value in os.environ.items() if not _LEFT_OUT.match(name)}
    chosen = {name: value for name, value in os.environ.items() if value and _KEPT.fullmatch(name)}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return kept | chosen | {"PATH": path, "LC_ALL": LOCALE, "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1"}


def playbook(
    playbooks: Sequence[str], inventory: Path, extra: Mapping[str, Any], more: Sequence[str] = ()
) -> list[str]:
    """Return the command line that runs playbooks one after another in one process, in the project's folder.

    Args:
        playbooks: their files, relative to the project's folder.
        inventory: the config file.
        extra: variables, as with `-e`.
        more: other options of ansible-playbook.
    """
    values = ["-e", json.dumps(extra)] if extra else []
    return module("ansible.cli.playbook", "-i", str(inventory), *playbooks, *values, *more)


def playbook_environment() -> dict[str, str]:
    """Return the environment of `playbook`."""
    return environment() | {"ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg")}
