"""A sweep's runs on a real cluster: playbooks bring it into shape, its queue takes the runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from muster_node.queue.layout import CORES, EXECUTORS, MEMORY_MB
from provision.cluster.view import ClusterView
from provision.config.wish import scaled
from provision.core.errors import CommandFailed
from provision.core.names import NODE_GROUPS
from provision.core.spec import ClusterSpec, Scale
from provision.costs.accounts import Tally, hourly_rate, read_accounts
from provision.jobs import runs
from provision.jobs.queue import Sink, send
from provision.jobs.request import make_request
from provision.planning.nodes import services
from provision.planning.sizing import cluster_sizing, room_for
from provision.studies.diary import Result, metrics_of
from provision.studies.sweep import ClusterShape, Combination, Layout, Sweep

Play = Callable[[Sequence[str], Mapping[str, Any]], None]
"""Runs playbooks with variables, as ansible-playbook does. Raises MusterError."""


@dataclass(frozen=True)
class OnCluster:
    """The cluster of a config file, as `conduct.Bench` asks for it.

    Fields: `sweep`, `view` (returns the cluster as it is now), `play`, `say` (shows one line), `sink` (gets
    what runs print; None = the terminal).
    """

    sweep: Sweep
    view: Callable[[], ClusterView]
    play: Play
    say: Callable[[str], object]
    sink: Sink | None = None

    def check(self) -> None:
        """Raise, before anything is changed, what the sweep asks for in vain: ConfigError, BadJob."""
        view = self.view()
        for shape in self.sweep.shapes:
            scaled(view.spec, _variables(shape))
        make_request(self.sweep.program, root=view.root, args=self.sweep.parameters)

    def now(self) -> ClusterShape | None:
        """See `Bench.now`: what the sweep leaves to the config file is not looked at."""
        nodes = [node for node in self.view().nodes if node.group.name in NODE_GROUPS]
        if not nodes:
            return None
        asked = [shape.scale for shape in self.sweep.shapes]
        cores = {node.group.cores for node in nodes} if any(one.cores for one in asked) else set()
        memory = {node.group.memory_gb for node in nodes} if any(one.memory_gb for one in asked) else set()
        return ClusterShape(
            len(nodes),
            Scale(cores.pop() if len(cores) == 1 else None, memory.pop() if len(memory) == 1 else None),
        )

    def make(self, shape: ClusterShape, size: int) -> None:
        """See `Bench.make`."""
        changed = self.now() != shape
        books = ["start_cluster.yml", "main.yml"] if changed else ["main.yml"]
        wanted = {"NUM_NODES": shape.nodes, **_variables(shape), "SCALE_IN": True} if changed else {}
        self.play(books, {**wanted, "IMAGE_SIZE": size})

    def layout(self, one: Combination) -> Layout:
        """See `Bench.layout`."""
        nodes = _machines(one.shape.of(self.view().spec))
        if one.layout is None:
            advised = cluster_sizing(nodes)
            return Layout(advised.executors, advised.executor_cores, advised.executor_memory_mb)
        room = room_for(nodes, one.layout.cores, one.layout.memory_mb)
        return Layout(min(one.layout.executors or room, room), one.layout.cores, one.layout.memory_mb)

    def run(self, one: Combination, layout: Layout, begun: Callable[[str], None]) -> Result:
        """See `Bench.run`."""
        queue = self.view().queue
        spark = {EXECUTORS: layout.executors, CORES: layout.cores, MEMORY_MB: layout.memory_mb}
        request = make_request(
            self.sweep.program,
            root=queue.root,
            args=self.sweep.parameters,
            env={"MUSTER_IMAGE_SIZE": str(one.size)},
            spark={} if one.layout is None else spark,
        )
        begun(request.run)
        send(queue, request)
        return self._ended(request.run, layout)

    def follow(self, run: str, layout: Layout) -> Result | None:
        """See `Bench.follow`."""
        view = self.view()
        if view.state.identity() is None or run not in {one["run"] for one in view.queue.runs()}:
            return None
        return self._ended(run, layout)

    def hourly(self, shape: ClusterShape) -> float | None:
        """See `Bench.hourly`."""
        view = self.view()
        spec = shape.of(view.spec)
        rates = [
            (hourly_rate(view.provider(group.provider), group).hourly, spec.size(group))
            for group in spec.groups
        ]
        known = [hourly * count for hourly, count in rates if hourly is not None]
        return sum(known) if len(known) == len(rates) else None

    def spent(self) -> float:
        """See `Bench.spent`."""
        accounts = read_accounts(self.view().state.journal.records())
        return sum((account.tally(time.time()) for account in accounts.values()), Tally()).dollars

    def ends(self) -> float:
        """See `Bench.ends`."""
        return self.view().deadline

    def _ended(self, run: str, layout: Layout) -> Result:
        queue = self.view().queue
        try:
            record = runs.finish(queue, run, sink=self.sink, say=self.say)
        except CommandFailed:
            record = queue.run(run)
        told = metrics_of(queue.root / "results" / run)
        return Result(
            run,
            str(record["state"]),
            float(record["seconds"]),
            str(record["reason"]),
            layout.executors,
            layout.cores,
            layout.memory_mb,
            told.get("train_seconds"),
            told.get("accuracy"),
        )


def _variables(shape: ClusterShape) -> dict[str, Any]:
    wanted = {"CORES": shape.scale.cores, "MEMORY_GB": shape.scale.memory_gb}
    return {name: value for name, value in wanted.items() if value is not None}


def _machines(spec: ClusterSpec) -> list[dict[str, Any]]:
    """Return the machines that Spark would have, as sizing takes them."""
    return [
        {
            "name": group.name,
            "group": group.name,
            "cores": group.cores,
            "memory_gb": group.memory_gb,
            "services": services(spec, group),
        }
        for group in spec.scaled_groups
        for _ in range(spec.size(group))
    ]
