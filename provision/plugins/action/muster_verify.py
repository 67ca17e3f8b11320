"""Action plugin: add up what the nodes proved; write the report, show it, fail when anything is short."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from provision.services.verification import READY, merge, only_busy

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
        if self._task.check_mode:
            return result | {"changed": False, "msg": "Nothing is proved in check mode"}
        if not given["answers"]:
            return result | {
                "failed": True,
                "msg": f"{given['cluster']} is not started. Run start_cluster.yml, then main.yml",
            }
        report = merge(given["cluster"], given["answers"], made=time.time())
        folder = Path(given["state_dir"]) / "reports"
        folder.mkdir(parents=True, exist_ok=True)
        fresh = folder / f".{FILE}"
        fresh.write_text(json.dumps(report.as_dict(), indent=2) + "\n", encoding="utf-8")
        fresh.replace(folder / FILE)
        Display().display("\n".join(["", *report.lines(), ""]))
        fine = report.status == READY or (given["busy_is_fine"] and only_busy(report))
        return result | {"changed": False, "failed": not fine, "msg": report.verdict()}
