"""`muster_dataset`: send a folder of images on this machine to the cluster's object store."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from provision.core.errors import MusterError
from provision.core.model import ObjectStoreSpec
from provision.data import sets

display = Display()
DIGITS = "digits"
SHOW_EVERY_S = 2.0


class ActionModule(ActionBase):
    """Arguments: name, source, labels; size, sizes and raw say what the object store has."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task."""
        outcome: dict[str, Any] = super().run(tmp, task_vars)
        variables, arguments = task_vars or {}, self._task.args
        name, source = str(arguments["name"]), str(arguments["source"])
        display.display(
            f"  {name} at {arguments['size']} pixels is not in the object store yet: it is made now, once"
        )
        if arguments["raw"] or source == DIGITS or self._task.check_mode:
            return outcome
        if not Path(source).is_dir():
            sizes = ", ".join(map(str, arguments["sizes"])) or "none"
            raise AnsibleActionFail(
                f"the object store has no {name} at {arguments['size']} pixels (sizes that exist: {sizes}), "
                f"and dataset.source {source} does not exist"
            )
        try:
            done = sets.source_to_store(
                self._cluster(variables), name, Path(source), arguments["labels"], _Shown()
            )
        except MusterError as error:
            raise AnsibleActionFail(str(error)) from error
        if done.unlabelled:
            display.display(
                f"  {done.unlabelled} of {done.images} images have no label: they become the test set"
            )
        return outcome | {
            "changed": done.sent > 0,
            "images": done.images,
            "sent": done.sent,
            "kept": done.kept,
        }

    def _cluster(self, variables: dict[str, Any]) -> Any:  # noqa: ANN401  has the two attributes of HasStore
        known = self._templar.template(variables["cluster_object_store"])
        store = ObjectStoreSpec(**{key: known[key] for key in asdict(ObjectStoreSpec())})
        spec = SimpleNamespace(name=variables["cluster_name"], object_store=store, options={})
        return SimpleNamespace(
            spec=spec, state_dir=Path(self._templar.template(variables["cluster_state_dir"]))
        )


class _Shown:
    """Shows a line at most every two seconds."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self, text: str) -> None:
        if time.monotonic() - self._last > SHOW_EVERY_S:
            self._last = time.monotonic()
            display.display(f"  {text}")
