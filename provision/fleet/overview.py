"""Every cluster on every provider that a config names, also those whose state is gone; what all have cost."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from provision import providers
from provision.config.load import is_config, load_config
from provision.core.errors import MusterError, one_line
from provision.core.model import ClusterSpec, Machine, NodeState
from provision.providers.base import Provider
from provision.state.folder import known_clusters

Load = Callable[[str, ClusterSpec], Provider]
_THREADS = 8


@dataclass(frozen=True)
class Found:
    """A cluster's machines at one provider. `hourly`: what is known of their price; `here`: its state is."""

    cluster: str
    id: str
    provider: str
    machines: tuple[Machine, ...]
    hourly: float | None
    here: bool

    @property
    def states(self) -> str:
        """How many machines there are in which state."""
        counted = Counter(machine.state.value for machine in self.machines)
        return ", ".join(f"{count} {state}" for state, count in sorted(counted.items())) or "none"

    def age(self, now: float) -> float | None:
        """Seconds since its first machine was made; None when nobody knows."""
        began = [machine.created for machine in self.machines if machine.created]
        return now - min(began) if began else None


@dataclass(frozen=True)
class Overview:
    """What was found, and one line for each provider or file that could not be asked or read."""

    clusters: tuple[Found, ...]
    problems: tuple[str, ...]


def configs(files: Iterable[Path]) -> tuple[list[ClusterSpec], list[str]]:
    """Return the configs that can be read, and one line for each that cannot."""
    specs, problems = [], []
    for path in files:
        if is_config(path):
            try:
                specs.append(load_config(path))
            except MusterError as error:
                problems.append(str(error))
    return specs, problems


def look(specs: Sequence[ClusterSpec], states: Path, *, load: Load = providers.load) -> Overview:
    """Ask every provider of the configs, all at once; one that cannot be asked hides no other."""
    places = {_place(name, spec): (name, spec) for spec in specs for name in _providers(spec)}
    questions = list(places.values())
    machines: dict[tuple[str, str], tuple[str, Machine]] = {}
    problems: list[str] = []

    def ask(question: tuple[str, ClusterSpec]) -> tuple[bool, list[Machine]] | str:
        name, spec = question
        try:
            provider = load(name, spec)
            return provider.paid, provider.everything()
        except MusterError as error:
            return f"{name} ({spec.path.name}) was not asked: {one_line(str(error))}"

    paid: dict[str, bool] = {}
    with ThreadPoolExecutor(max_workers=_THREADS) as pool:
        for (name, _), answer in zip(questions, pool.map(ask, questions), strict=True):
            if isinstance(answer, str):
                problems.append(answer)
                continue
            paid[name] = answer[0]
            machines |= {(name, machine.provider_id): (name, machine) for machine in answer[1]}
    here = {identity: name for name, identity in known_clusters(states)}
    by_cluster: dict[tuple[str, str, str], list[Machine]] = {}
    for name, machine in machines.values():
        if machine.state is not NodeState.GONE:
            key = (machine.labels.get("cluster", ""), machine.labels.get("cluster_id", ""), name)
            by_cluster.setdefault(key, []).append(machine)
    found = [
        Found(cluster, id, name, tuple(members), _hourly(members, paid=paid[name]), id in here)
        for (cluster, id, name), members in by_cluster.items()
    ]
    listed = {(cluster.cluster, cluster.id) for cluster in found}
    found += [
        Found(name, id, "", (), 0.0, here=True) for id, name in here.items() if (name, id) not in listed
    ]
    found.sort(key=lambda cluster: (cluster.cluster, cluster.id, cluster.provider))
    return Overview(tuple(found), tuple(problems))


def _providers(spec: ClusterSpec) -> list[str]:
    return sorted({group.provider for group in spec.groups} | {spec.provider})


def _place(name: str, spec: ClusterSpec) -> str:
    """Return what tells two accounts or regions of one provider from each other."""
    options = [group.options for group in spec.groups if group.provider == name]
    return json.dumps([name, spec.options.get(name), options], sort_keys=True, default=str)


def _hourly(machines: Iterable[Machine], *, paid: bool) -> float | None:
    """Return what machines cost by their own labels; None when one does not say."""
    if not paid:
        return 0.0
    total = 0.0
    for machine in machines:
        said = machine.labels.get("price", "")
        if machine.state is NodeState.STOPPED:
            said = machine.labels.get("price_stopped", said)
        try:
            total += float(said)
        except ValueError:
            return None
    return total
