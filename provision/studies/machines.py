"""The group of machines that experiments have to themselves, on a real cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from provision.cluster.view import ClusterView
from provision.config.wish import MACHINES_VARIABLE, scaled
from provision.core.names import EXPERIMENT
from provision.core.untrusted import is_number
from provision.jobs.builtin import builtin_jobs
from provision.jobs.queue import fetch, send
from provision.jobs.request import JobRequest, Where, make_request
from provision.providers.facts import facts_of
from provision.studies.diary import Result, metrics_of
from provision.studies.experiments import Experiment, Experiments
from provision.studies.on_cluster import Play


@dataclass(frozen=True)
class OnMachines:
    """See `side_by_side.Machines`. `view` returns the cluster as it is now, `play` runs playbooks."""

    wanted: Experiments
    view: Callable[[], ClusterView]
    play: Play

    def check(self) -> None:
        """Raise, before anything is changed, what is asked for in vain: ConfigError, BadJob."""
        scaled(self.view().spec, {MACHINES_VARIABLE: 1})
        for one in self.wanted.every:
            self._request(one)

    def now(self) -> int:
        """Return how many machines there are for experiments."""
        return sum(node.group.name == EXPERIMENT for node in self.view().nodes)

    def afterwards(self) -> str:
        """Return what becomes of the machines when nobody is here at the end, in words."""
        group = self.view().spec.group(EXPERIMENT)
        facts = facts_of(group.provider)
        if facts.poweroff_deletes:
            return "deleted by themselves"
        if not facts.paid:
            return "powered off, and deleted by the same command or by ./muster destroy"
        bills = f"{group.provider} bills them until the same command, or ./muster destroy, deletes them"
        return f"powered off; {bills}"

    def make(self, count: int) -> None:
        """See `Machines.make`."""
        if count == self.now():
            return
        fewer = {"SCALE_IN": True} if count < self.now() else {}
        self.play(["start_cluster.yml", "main.yml"], {MACHINES_VARIABLE: count, **fewer})

    def send(self, one: Experiment, begun: Callable[[str], None]) -> None:
        """See `Machines.send`."""
        request = self._request(one)
        begun(request.run)
        send(self.view().queue, request)

    def runs(self) -> Mapping[str, Mapping[str, Any]]:
        """See `Machines.runs`."""
        view = self.view()
        if view.state.identity() is None:
            return {}
        return {str(record["run"]): record for record in view.queue.runs()}

    def result(self, record: Mapping[str, Any]) -> Result:
        """See `Machines.result`."""
        queue, run = self.view().queue, str(record["run"])
        metrics = metrics_of(fetch(queue, run))
        cost = record.get("cost")
        return Result(
            run,
            str(record["state"]),
            float(record["seconds"]),
            str(record["reason"]),
            metrics=metrics,
            cost=float(cost) if is_number(cost) else None,
            node=str(record.get("node", "")),
        )

    def _request(self, one: Experiment) -> JobRequest:
        """Return a run's request: built-in jobs take `name=value`, other programs `--name=value`."""
        view, size = self.view(), self.wanted.image_size
        form = "{}={}" if self.wanted.job in builtin_jobs(view.root) else "--{}={}"
        return make_request(
            self.wanted.program,
            root=view.root,
            args=[form.format(name, value) for name, value in one.parameters.items()],
            env={} if size is None else {"MUSTER_IMAGE_SIZE": str(size)},
            where=Where(EXPERIMENT),
        )
