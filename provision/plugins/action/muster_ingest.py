"""Action plugin: bring a data set into the object store, as its description says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from provision.cluster.open import open_cluster
from provision.core.errors import MusterError
from provision.data.description import load
from provision.data.ingest import bring, secret_names
from provision.plugins.action.muster_job import Lines, outcome
from provision.plugins.config_of_run import config_of_run


class ActionModule(ActionBase):
    """Arguments: description (a file), follow. The keys of another store are variables of the run."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Carry out the task; an error becomes one line. In check mode the description is looked at only."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, given = self.validate_argument_spec(
            argument_spec={
                "description": {"type": "str", "required": True},
                "follow": {"type": "bool", "default": True},
            }
        )
        lines = Lines()
        try:
            file = Path(given["description"]).expanduser()
            described = load(file)
            if self._task.check_mode:
                Display().display(
                    f"would bring {described.name} in; nothing was sent, as this is a check only"
                )
                return result | {"changed": True}
            view = open_cluster(config_of_run(task_vars or {})).view
            known = task_vars or {}
            run = bring(
                view.spec,
                view.state,
                view.queue,
                described,
                file,
                given={
                    name: str(self._templar.template(known.get(name, ""))) for name in secret_names(described)
                },
                deadline=view.deadline,
                follow=given["follow"],
                sink=lines,
                say=Display().display,
            )
        except MusterError as error:
            lines.close()
            return result | {"failed": True, "msg": str(error)}
        lines.close()
        return result | {"changed": True, "run": run, **(outcome(view.root / "results" / run) if run else {})}
