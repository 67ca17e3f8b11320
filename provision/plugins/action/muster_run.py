"""`muster_run`: run one of our programs on a node, show its progress while it runs, read its answer."""

from __future__ import annotations

import shlex
import threading
from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from provision.core.progress import EVERY_S
from provision.core.untrusted import parse_json

display = Display()
LOOK_EVERY_S = 2.0


def follow(ended: threading.Event, read: Callable[[], str], show: Callable[[str], object]) -> None:
    """Show a line when it has changed, until `ended`: soon at first, at last one in thirty seconds."""
    shown, pause = "", LOOK_EVERY_S
    while not ended.wait(pause):
        line = read()
        if line and line != shown:
            show(line)
            shown, pause = line, min(2 * pause, EVERY_S)


class ActionModule(ActionBase):
    """Arguments: `argv`, `progress` (a file of one line on the node), `accept` (statuses that are fine).

    The program's last line on standard output is JSON and becomes `result`; its `changed` is the task's, its
    `notes` (lines) are shown. When it fails, `error` of its answer is the message, else its last line on
    standard error.
    """

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task."""
        outcome: dict[str, Any] = super().run(tmp, task_vars)
        argv = self._task.args.get("argv")
        if not isinstance(argv, list) or set(self._task.args) - {"argv", "progress", "accept"}:
            raise AnsibleActionFail(
                "muster_run takes argv (a list), progress (a path) and accept (a list of numbers)"
            )
        if self._task.check_mode:
            return outcome | {"skipped": True, "msg": "the program has no check mode"}
        answer = self._watched(
            shlex.join(str(word) for word in argv), self._task.args.get("progress", ""), task_vars
        )
        outcome["status"] = answer["rc"]  # `rc` would make the task fail whenever it is not 0
        lines = str(answer["stdout"]).strip().splitlines()
        if answer["rc"] not in (0, *self._task.args.get("accept", ())):
            told = [line for line in str(answer["stderr"]).splitlines() if line.strip()] or lines
            reason = _error(lines) or (told[-1] if told else f"exit status {answer['rc']}")
            return outcome | {"failed": True, "msg": reason, "stderr_lines": told[-40:]}
        outcome["result"] = _answer(lines)
        if not outcome["result"]:
            return outcome | {"failed": True, "msg": f"{argv[0]} gave no answer", "stderr_lines": lines[-40:]}
        notes = outcome["result"].get("notes")
        for note in notes if isinstance(notes, list) else ():
            display.display(f"  {note}")
        outcome["changed"] = bool(outcome["result"].get("changed"))
        return outcome

    def _watched(self, command: str, progress: str, task_vars: dict[str, Any] | None) -> dict[str, Any]:
        ended = threading.Event()
        host = (task_vars or {}).get("inventory_hostname", "")

        def read() -> str:
            done = self._low_level_execute_command(f"cat {shlex.quote(progress)} 2>/dev/null")
            return str(done["stdout"]).strip()

        def show(line: str) -> None:
            display.display(f"  {host}: {line}")

        watcher = threading.Thread(target=follow, args=(ended, read, show), daemon=True)
        if progress:
            watcher.start()
        try:
            # Something on standard input: otherwise SSH gets a terminal, which mixes output and errors.
            result: dict[str, Any] = self._low_level_execute_command(command, in_data=b"\n")
            return result
        finally:
            ended.set()
            if progress:
                watcher.join()


def _answer(lines: list[str]) -> dict[str, Any]:
    """Return an answer in JSON, nothing when there is none: programs run as the user that jobs run as."""
    answer = parse_json(lines[-1]) if lines else None
    return answer if isinstance(answer, dict) else {}


def _error(lines: list[str]) -> str:
    """Return the `error` of an answer in JSON, '' when there is none."""
    return str(_answer(lines).get("error", ""))
