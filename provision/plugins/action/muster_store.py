"""`muster_store`: show an object store that is a folder of this machine to nodes while this command runs."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from provision.cluster.open import open_cluster
from provision.core.errors import MusterError
from provision.data.stores import serve
from provision.plugins.config_of_run import config_of_run


class ActionModule(ActionBase):
    """Argument: nodes (names of machines)."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, given = self.validate_argument_spec(
            argument_spec={"nodes": {"type": "list", "elements": "str", "required": True}}
        )
        if self._task.check_mode:
            return result | {"changed": False}
        try:
            view = open_cluster(config_of_run(task_vars or {})).view
            serve.begin(view.spec.object_store, view.state, given["nodes"])
        except MusterError as error:
            return result | {"failed": True, "msg": str(error)}
        return result | {"changed": False}
