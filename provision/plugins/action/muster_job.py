"""Action plugin: send a job to the cluster, show its log as it comes, return its metrics."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from provision.cluster.open import open_cluster
from provision.core.errors import MusterError
from provision.core.image_size import image_size
from provision.core.untrusted import parse_json
from provision.jobs import runs
from provision.jobs.request import Where, make_request
from provision.plugins.config_of_run import config_of_run


class Lines:
    """Hands bytes to Ansible's display line by line."""

    def __init__(self) -> None:
        self._rest = b""

    def __call__(self, block: bytes) -> None:
        """Show the complete lines."""
        *lines, self._rest = (self._rest + block).split(b"\n")
        for line in lines:
            Display().display(line.decode("utf-8", "replace"))

    def close(self) -> None:
        """Show what is left."""
        if self._rest:
            self(b"\n")


class ActionModule(ActionBase):
    """Arguments: job, parameters and args (words), deps, main_class, follow, secrets, image_size.

    `on`, `cores`, `memory` (GiB): one machine of a group instead of the whole cluster, or a share of it.
    In check mode the job is looked at, and nothing is sent.
    """

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Carry out the task; an error becomes one line."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, given = self.validate_argument_spec(
            argument_spec={
                "job": {"type": "str", "required": True},
                "parameters": {"type": "raw", "default": ""},
                "args": {"type": "raw", "default": ""},
                "deps": {"type": "str", "default": ""},
                "main_class": {"type": "str", "default": ""},
                "follow": {"type": "bool", "default": True},
                "secrets": {"type": "dict", "default": {}, "no_log": True},
                "image_size": {"type": "str", "default": ""},
                "on": {"type": "str", "default": ""},
                "cores": {"type": "int", "default": 0},
                "memory": {"type": "float", "default": 0.0},
            }
        )
        lines = Lines()
        try:
            view = open_cluster(config_of_run(task_vars or {})).view
            program: dict[str, Any] = {
                "args": words(given["parameters"]) + words(given["args"]),
                "deps": Path(given["deps"]).expanduser() if given["deps"] else None,
                "main_class": given["main_class"],
            }
            if self._task.check_mode:
                name = make_request(given["job"], root=view.queue.root, **program).name
                Display().display(f"would submit {name}; nothing was sent, as this is a check only")
                return result | {"changed": True}
            run = runs.submit(
                view.queue,
                given["job"],
                deadline=view.deadline,
                **program,
                follow=given["follow"],
                secrets={key: str(value) for key, value in given["secrets"].items()},
                where=Where(given["on"], given["cores"], given["memory"]),
                image_size=image_size(given["image_size"]) if given["image_size"] else None,
                sink=lines,
                say=Display().display,
            )
        except (MusterError, ValueError) as error:
            lines.close()
            return result | {"failed": True, "msg": str(error)}
        lines.close()
        return result | {"changed": True, "run": run, **outcome(view.root / "results" / run)}


def words(args: Any) -> list[str]:  # noqa: ANN401  (a list, or one line)
    """Return a job's arguments as a list. Raises ValueError for an open quote."""
    return [str(word) for word in args] if isinstance(args, list) else shlex.split(str(args or ""))


def outcome(folder: Path) -> dict[str, Any]:
    """Return the folder of the results and the numbers in its metrics.json (no lists, no tables)."""
    if not folder.is_dir():
        return {}
    answer: dict[str, Any] = {"results": str(folder)}
    try:
        metrics = parse_json((folder / "metrics.json").read_bytes())  # a job has written it
    except OSError:  # there is none, or something else of that name
        return answer
    if isinstance(metrics, dict):
        answer["metrics"] = {
            key: value for key, value in metrics.items() if not isinstance(value, list | dict)
        }
    return answer
