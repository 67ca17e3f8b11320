"""Ansible's usual output, but errors that this project words itself are one line."""

from __future__ import annotations

from typing import Any

from ansible import constants
from ansible.plugins.callback.default import CallbackModule as Default

DOCUMENTATION = """
    name: muster
    type: stdout
    short_description: Ansible's usual output with worded errors as one line
    description:
      - Failures of the project's own actions, of assert and of fail are shown as C(fatal) and their message,
        without the place in the playbook and the result's other values. With -v everything is as usual.
    extends_documentation_fragment:
      - default_callback
      - result_format_callback
    requirements:
      - set as stdout in configuration
"""
OWN = "muster_"
WORDED = frozenset({"ansible.builtin.assert", "ansible.builtin.fail", "assert", "fail"})


class CallbackModule(Default):
    """Everything is Ansible's default but how a worded failure is shown."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "muster"

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:  # noqa: ANN401  untyped there
        """Show a failure."""
        task, message = result.task, result.result.get("msg")
        worded = task.action.startswith(OWN) or task.action in WORDED
        if not worded or task.loop or self._display.verbosity or not isinstance(message, str):
            super().v2_runner_on_failed(result, ignore_errors)
            return
        if self._last_task_banner != task._uuid:
            self._print_task_banner(task)
        self._handle_warnings(result.result)
        line = " ".join(message.split())
        to_stderr = self.get_option("display_failed_stderr")
        self._display.display(
            f"fatal: [{self.host_label(result)}]: {line}", color=constants.COLOR_ERROR, stderr=to_stderr
        )
