"""Action plugin: add up what the nodes proved; write the report, show it, fail when anything is short."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from provision.cluster.open import open_cluster
from provision.core import files
from provision.core.errors import MusterError
from provision.plugins.config_of_run import config_of_run
from provision.services.verification import READY, Check, ending, merge, only_busy
from provision.state.folder import State

FILE = "verify.json"


class ActionModule(ActionBase):
    """Arguments: cluster (its name), state_dir, answers (node -> what the role registered), busy_is_fine.

    With `busy_is_fine` Workers that are busy with a job are no failure; the report says unknown all the same.
    In check mode nothing was proved, and the last report stays.
    """

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Carry out the task."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, given = self.validate_argument_spec(
            argument_spec={
                "answers": {"type": "dict", "required": True},
                "busy_is_fine": {"type": "bool", "default": False},
                "cluster": {"type": "str", "required": True},
                "state_dir": {"type": "str", "required": True},
            }
        )
        if not given["answers"]:
            return result | {
                "failed": True,
                "msg": f"{given['cluster']} is not started. Run start_cluster.yml, then main.yml",
            }
        if self._task.check_mode:
            Display().display(f"{given['cluster']}: nothing was proved, as this is a check only")
            return result | {"changed": False}
        ends = _ending(task_vars or {})
        report = merge(given["cluster"], given["answers"], made=time.time(), more=ends)
        try:
            folder = files.private_folder(State(Path(given["state_dir"])).reports)
        except MusterError as error:
            return result | {"failed": True, "msg": str(error)}
        files.write(folder / FILE, json.dumps(report.as_dict(), indent=2) + "\n")
        Display().display("\n".join(["", *report.lines(), ""]))
        fine = report.status == READY or (given["busy_is_fine"] and only_busy(report))
        return result | {"changed": False, "failed": not fine, "msg": report.verdict()}


def _ending(task_vars: dict[str, Any]) -> tuple[Check, ...]:
    """Prove, by asking providers, that machines are gone when their time is over."""
    begin = time.monotonic()
    stays, why = None, ""
    try:
        stays = open_cluster(config_of_run(task_vars)).view.stays()
    except MusterError as error:
        why = str(error)
    return ending(stays, why=why, seconds=time.monotonic() - begin)
