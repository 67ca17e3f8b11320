"""`muster_store`: show an object store that is a folder of this machine to nodes while this command runs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

from provision.core.errors import MusterError
from provision.core.model import ObjectStoreSpec
from provision.data.stores import serve


class ActionModule(ActionBase):
    """Arguments: store (`cluster_object_store`), state_dir, nodes (names of machines)."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, given = self.validate_argument_spec(
            argument_spec={
                "store": {"type": "dict", "required": True},
                "state_dir": {"type": "str", "required": True},
                "nodes": {"type": "list", "elements": "str", "required": True},
            }
        )
        if self._task.check_mode:
            return result | {"changed": False}
        store = ObjectStoreSpec(**{key: given["store"][key] for key in asdict(ObjectStoreSpec())})
        try:
            serve.begin(store, Path(given["state_dir"]), given["nodes"])
        except MusterError as error:
            return result | {"failed": True, "msg": str(error)}
        return result | {"changed": False}
