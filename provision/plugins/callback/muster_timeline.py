"""Records how long each play and each role of a playbook took in the cluster's timeline."""

from __future__ import annotations

import os
import time
from pathlib import Path

from ansible.plugins.callback import CallbackBase

from provision.timeline import FILE, Phase, Timeline, this_run

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
    """A play's phase lasts from its start to the next play's; a role's from its first task to its last result."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "muster_timeline"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self):
        super().__init__()
        self._folder = None
        self._play = ""
        # (play, role) -> [first start, last end], in seconds since the epoch; role "" is the play itself
        self._spans: dict[tuple[str, str], list[float]] = {}
        self._failed: set[tuple[str, str]] = set()

    def v2_playbook_on_play_start(self, play):
        """Begin a play's phase; the state folder is known from the inventory's variables."""
        variables = play.get_variable_manager().get_vars(play=play)
        self._folder = variables.get("cluster_state_dir", self._folder)
        self._play = play.get_name()
        self._touch("")

    def v2_playbook_on_task_start(self, task, is_conditional):
        """Begin a role's phase with its first task."""
        self._touch(self._role(task))

    def v2_playbook_on_handler_task_start(self, task):
        """Count handlers to their role."""
        self._touch(self._role(task))

    def v2_runner_on_ok(self, result):
        """Extend the phase to this result."""
        self._touch(self._role(result._task))

    def v2_runner_on_failed(self, result, ignore_errors=False):
        """Extend the phase to this result and mark it."""
        self._touch(self._role(result._task))
        self._failed |= {(self._play, ""), (self._play, self._role(result._task))}

    def v2_playbook_on_stats(self, stats):
        """Write everything that was recorded; `destroy` has removed the folder and records nothing."""
        if not self._folder or not os.path.isdir(self._folder):
            return
        timeline, run = Timeline(Path(self._folder) / FILE), this_run()[0]
        for (play, role), (start, end) in self._spans.items():
            name = f"{play}: {role}" if role else play
            timeline.add(
                Phase(
                    run=run,
                    command=command,
                    name=name,
                    begin=round(start, 3),
                    seconds=round(end - start, 3),
                    ok=(play, role) not in self._failed,
                )
            )

    def _touch(self, role: str) -> None:
        now = time.time()
        for key in {(self._play, ""), (self._play, role)}:
            self._spans.setdefault(key, [now, now])[1] = now

    @staticmethod
    def _role(task) -> str:
        return task._role.get_name() if task._role else ""
