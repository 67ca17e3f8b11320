"""Action plugin: one job over shapes of the cluster, layouts and sizes; see `provision.studies`."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from provision.cluster.open import open_cluster
from provision.core import programs
from provision.core.errors import CommandFailed, MusterError
from provision.core.paths import PROJECT
from provision.core.spec import ClusterSpec
from provision.plugins.action.muster_job import Lines
from provision.plugins.config_of_run import config_of_run
from provision.state.timeline import ConsoleReporter
from provision.studies import conduct, report
from provision.studies.diary import Diary
from provision.studies.on_cluster import OnCluster, Play
from provision.studies.sweep import load_sweep


class ActionModule(ActionBase):
    """Argument: file. In check mode the plan is shown, and nothing done."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Carry out the task; an error becomes one line."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, given = self.validate_argument_spec(argument_spec={"file": {"type": "str", "required": True}})
        say, lines = Display().display, Lines()
        try:
            spec = config_of_run(task_vars or {})
            wanted = load_sweep(Path(given["file"]).expanduser())
            diary = Diary(PROJECT / "results" / "sweeps" / wanted.name)
            reporter = ConsoleReporter(say)
            bench = OnCluster(
                wanted, lambda: open_cluster(spec, reporter=reporter).view, _player(spec), say, lines
            )
            bench.check()
            for line in conduct.outlook(wanted, diary.read(), bench).lines(wanted):
                say(line)
            if self._task.check_mode:
                return result | {"changed": False}
            with diary.locked():
                page = conduct.conduct(wanted, diary, bench, say)
                places = report.write(wanted, page, diary.folder)
            for line in report.comparisons(report.measured(wanted, page)):
                say(line)
        except MusterError as error:
            return result | {"failed": True, "msg": str(error)}
        finally:
            lines.close()
        return result | {"changed": True, "results": [str(place) for place in places]}


def _player(spec: ClusterSpec) -> Play:
    """Return what runs playbooks on the cluster of a config, and shows what they print."""

    def play(books: Sequence[str], variables: Mapping[str, Any]) -> None:
        process = subprocess.Popen(
            programs.playbook(books, spec.path, variables), cwd=PROJECT, env=programs.playbook_environment(),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8",
        )  # fmt: skip
        with process:
            for line in process.stdout or ():
                Display().display(line.rstrip("\n"))
        if process.returncode:
            raise CommandFailed(
                what=f"{' + '.join(books)} failed (status {process.returncode}); the reason is above",
                remedy="Correct it and run the same command again: it goes on where it stopped",
                status=process.returncode,
            )

    return play
