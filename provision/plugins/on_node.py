"""Runs a module of ours on a node as it is, without Ansible's wrapper.

Ansible packs a module with its libraries into an archive. To unpack and import that takes 0.17 seconds of a
node's processor each time, the program alone 0.03. Such modules need a standard Python only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from ansible.plugins.action import ActionBase

from provision.core.untrusted import parse_json

PYTHON = "/usr/bin/python3 -I -"


def program(module: ModuleType, arguments: Mapping[str, Any]) -> bytes:
    """Return a program's text: it calls the module's `run` with arguments and prints the answer as JSON."""
    call = f"print(json.dumps(run(**json.loads({json.dumps(arguments)!r}))))"
    return f"{Path(str(module.__file__)).read_text(encoding='utf-8')}\n\nimport json\n{call}\n".encode()


def run(action: ActionBase, module: ModuleType, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a module's `run` answers on the node of a task, or a failure that says why it has not.

    The program comes on standard input, so what is secret in it is in no list of processes.
    """
    done = action._low_level_execute_command(PYTHON, in_data=program(module, arguments))
    lines = str(done["stdout"]).strip().splitlines()
    answer = parse_json(lines[-1]) if lines and not done["rc"] else None
    if isinstance(answer, dict):
        return answer
    told = str(done["stderr"]).strip().splitlines() or lines
    reason = told[-1] if told else f"exit status {done['rc']}"
    return {"failed": True, "msg": reason, "stderr_lines": told[-40:]}
