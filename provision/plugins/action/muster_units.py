"""Action part of `muster_units`: checks the arguments here, runs the module in one round trip."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase

from provision.plugins import on_node
from provision.plugins.modules import muster_units

ARGUMENTS = {
    "units": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "files": {"type": "list", "elements": "path", "default": []},
            "creates": {"type": "str", "default": ""},
            "reload_files": {"type": "list", "elements": "path", "default": []},
            "proof": {"type": "list", "elements": "str", "default": []},
        },
    },
    "state": {
        "type": "str",
        "default": "started",
        "choices": ["started", "reloaded", "restarted", "stopped"],
    },
    "wait": {"type": "bool", "default": False},
}


def checked(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments with all defaults. Raises AnsibleActionFail for what is wrong with them."""
    found = ArgumentSpecValidator(ARGUMENTS).validate(dict(arguments))
    if found.error_messages:
        raise AnsibleActionFail(f"muster_units: {'; '.join(found.error_messages)}")
    return dict(found.validated_parameters)


class ActionModule(ActionBase):
    """Checks, then runs the module of the same name once."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task; see the module's documentation."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        arguments = checked(self._task.args) | {"check": self._task.check_mode}
        return result | on_node.run(self, (muster_units, arguments))
