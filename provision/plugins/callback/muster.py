"""Ansible's usual output, but errors that this project words itself are one line."""

from __future__ import annotations

import io
import sys
from typing import Any

from ansible import constants
from ansible.plugins.callback.default import CallbackModule as Default
from ansible.utils.display import Display

from provision.core.terminal import printable

DOCUMENTATION = """
    name: muster
    type: stdout
    short_description: Ansible's usual output with worded errors as one line
    description:
      - Failures of the project's own actions, of assert and of fail are shown as C(fatal) and their message,
        without the place in the playbook and the result's other values; so are hosts that cannot be reached.
        With -v everything is as usual.
    extends_documentation_fragment:
      - default_callback
      - result_format_callback
    requirements:
      - set as stdout in configuration
"""
OWN = "muster_"
WORDED = frozenset({"ansible.builtin.assert", "ansible.builtin.fail", "assert", "fail"})


class Coloured(str):
    """Text that was printable before Ansible coloured it."""

    __slots__ = ()


def show_printable(display: Display) -> None:
    """Let Ansible show nothing that a machine said but what can be read; again is harmless.

    All that it prints goes by this one method: results, warnings, what our own actions show.
    """
    shown = display.display

    def display_printable(msg: str, *args: Any, **more: Any) -> None:  # noqa: ANN401  whatever it takes
        # The recap says `screen_only`: counts, and names of our own, which it has coloured by then.
        ours = more.get("screen_only") or isinstance(msg, Coloured)
        shown(msg if ours else printable(msg), *args, **more)

    display.display = display_printable


def _printable(value: Any) -> Any:  # noqa: ANN401  as Ansible has differences
    """Return a value with every text in it as can be printed."""
    if isinstance(value, dict):
        return {key: _printable(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_printable(each) for each in value]
    return printable(value) if isinstance(value, str) else value


class CallbackModule(Default):
    """Everything is Ansible's default but how a worded failure is shown."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "muster"

    def __init__(self) -> None:
        super().__init__()
        show_printable(self._display)
        if isinstance(sys.stdout, io.TextIOWrapper):  # a run takes minutes: seen as it comes, in a file too
            sys.stdout.reconfigure(line_buffering=True)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:  # noqa: ANN401  untyped there
        """Show a failure."""
        task, message = result.task, result.result.get("msg")
        worded = task.action.startswith(OWN) or task.action in WORDED
        if not worded or task.loop or self._display.verbosity or not isinstance(message, str):
            super().v2_runner_on_failed(result, ignore_errors)
            return
        self._show(result, message, constants.COLOR_ERROR)

    def v2_runner_on_unreachable(self, result: Any) -> None:  # noqa: ANN401
        """Show a machine that does not answer."""
        message = result.result.get("msg")
        if self._display.verbosity or not isinstance(message, str):
            super().v2_runner_on_unreachable(result)
            return
        self._show(result, f"unreachable: {message}", constants.COLOR_UNREACHABLE)

    def _get_diff(self, difflist: Any) -> str:  # noqa: ANN401
        """Return differences in colours."""
        return Coloured(super()._get_diff(_printable(difflist)))

    def _show(self, result: Any, message: str, color: str) -> None:  # noqa: ANN401
        """Print one line about a host."""
        if self._last_task_banner != result.task._uuid:
            self._print_task_banner(result.task)
        self._handle_warnings(result.result)
        line = " ".join(message.split())
        to_stderr = self.get_option("display_failed_stderr")
        self._display.display(f"fatal: [{self.host_label(result)}]: {line}", color=color, stderr=to_stderr)
