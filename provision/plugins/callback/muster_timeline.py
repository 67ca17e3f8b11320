"""Records how long each play and each role of a playbook took in the cluster's timeline."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

from provision.state.timeline import FILE, Phase, Timeline, this_run

DOCUMENTATION = """
    name: muster_timeline
    type: aggregate
    short_description: Records plays and roles in the cluster's timeline
    description:
      - Writes one line per play and per role of a play to the timeline in the state folder of the cluster.
    requirements:
      - enable in configuration
"""


class CallbackModule(CallbackBase):
    """A phase lasts from the first task of a play, or of a role in it, to the last result there."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "muster_timeline"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._folder: Path | None = None
        self._play = ""
        # (play, role) -> [first start, last end], seconds since the epoch; role "" is the play itself
        self._spans: dict[tuple[str, str], list[float]] = {}
        self._failed: set[tuple[str, str]] = set()

    def v2_playbook_on_play_start(self, play: Any) -> None:  # noqa: ANN401  Ansible's classes are untyped
        """Begin a play's phase; the state folder is a variable of the inventory."""
        variables = play.get_variable_manager()._inventory.groups["all"].get_vars()
        if "cluster_state_dir" in variables:
            self._folder = Path(variables["cluster_state_dir"])
        self._play = play.get_name()

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:  # noqa: ANN401, ARG002
        """Begin a role's phase with its first task."""
        self._touch(task)

    def v2_playbook_on_handler_task_start(self, task: Any) -> None:  # noqa: ANN401
        """Count handlers to their role."""
        self._touch(task)

    def v2_runner_on_ok(self, result: Any) -> None:  # noqa: ANN401
        """Extend the phase to this result."""
        self._touch(result._task)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:  # noqa: ANN401, ARG002
        """Extend the phase to this result and mark it."""
        self._failed |= self._touch(result._task)

    def v2_playbook_on_stats(self, stats: Any) -> None:  # noqa: ANN401, ARG002
        """Write what this playbook's phases were; where the cluster is gone, so is its timeline.

        Ansible calls this once for every playbook of a command.
        """
        if self._folder is None or not self._folder.is_dir():
            return
        timeline, (run, command) = Timeline(self._folder / FILE), this_run()
        for (play, role), (start, end) in self._spans.items():
            timeline.add(
                Phase(
                    run=run,
                    command=command,
                    name=f"{play}: {role}" if role else play,
                    begin=round(start, 3),
                    seconds=round(end - start, 3),
                    ok=(play, role) not in self._failed,
                )
            )
        self._spans.clear()
        self._failed.clear()

    def _touch(self, task: Any) -> set[tuple[str, str]]:  # noqa: ANN401
        """Extend the phases that a task belongs to until now; return them."""
        now = time.time()
        phases = {(self._play, ""), (self._play, task._role.get_name() if task._role else "")}
        for phase in phases:
            self._spans.setdefault(phase, [now, now])[1] = now
        return phases
