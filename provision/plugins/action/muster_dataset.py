"""`muster_dataset`: send a folder of images on this machine to the cluster's object store, or compare it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from provision.cluster.open import open_cluster
from provision.core.errors import MusterError
from provision.core.spec import BUILT_IN
from provision.data import sets
from provision.data.fingerprint import require_unchanged
from provision.plugins.config_of_run import config_of_run

display = Display()
SHOW_EVERY_S = 2.0


class ActionModule(ActionBase):
    """Arguments: name, source, labels; size, sizes and raw say what the object store has.

    With `sent` (what was written when the folder was sent) it fails when the folder is another one now.
    """

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task."""
        outcome: dict[str, Any] = super().run(tmp, task_vars)
        arguments = self._task.args
        name, source = str(arguments["name"]), str(arguments["source"])
        if "sent" in arguments:
            try:
                multi_label = config_of_run(task_vars or {}).dataset.multi_label
                require_unchanged(
                    name, Path(source), arguments["labels"], arguments["sent"], multi_label=multi_label
                )
            except MusterError as error:
                raise AnsibleActionFail(str(error)) from error
            return outcome
        display.display(
            f"  {name} at {arguments['size']} pixels is not in the object store yet: it is made now, once"
        )
        if arguments["raw"] or source in BUILT_IN or self._task.check_mode:
            return outcome
        if not source:
            raise AnsibleActionFail(
                f"the object store has no raw data of {name}: ./muster ingest FILE.yml brings it in, "
                "or dataset.source names a folder"
            )
        if not Path(source).is_dir():
            sizes = ", ".join(map(str, arguments["sizes"])) or "none"
            raise AnsibleActionFail(
                f"the object store has no {name} at {arguments['size']} pixels (sizes that exist: {sizes}), "
                f"and dataset.source {source} does not exist"
            )
        try:
            view = open_cluster(config_of_run(task_vars or {})).view
            labels = arguments["labels"]
            done = sets.source_to_store(view.spec, view.state, name, Path(source), labels, _Shown())
        except MusterError as error:
            raise AnsibleActionFail(str(error)) from error
        for note in done.notes:
            display.display(f"  {note}")
        return outcome | {
            "changed": done.sent > 0,
            "images": done.images,
            "sent": done.sent,
            "kept": done.kept,
        }


class _Shown:
    """Shows a line at most every two seconds."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self, text: str) -> None:
        if time.monotonic() - self._last > SHOW_EVERY_S:
            self._last = time.monotonic()
            display.display(f"  {text}")
