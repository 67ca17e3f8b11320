"""Every cluster on every provider that a config names, also those whose state is gone; what all have cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from provision import providers
from provision.config.load import is_config, load_config
from provision.core.errors import MusterError, one_line
from provision.core.model import Machine, NodeState
from provision.core.spec import ClusterSpec
from provision.providers.base import Provider
from provision.providers.facts import facts_of
from provision.state.folder import known_clusters

Load = Callable[[str, ClusterSpec, Path], Provider]
_THREADS = 8


@dataclass(frozen=True)
class Found:
    """A cluster's machines at one provider, and who has listed them (None: nobody, only its state is here).

    `hourly`: what is known of their price; `here`: the cluster's state is.
    """

    cluster: str
    id: str
    provider: str
    machines: tuple[Machine, ...]
    hourly: float | None
    here: bool
    listed_by: Provider | None = field(default=None, repr=False, compare=False)

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
class NotAsked:
    """An account that did not answer, and the configs whose machines may be there. `str()` is one line."""

    provider: str
    specs: tuple[ClusterSpec, ...]
    error: MusterError

    def __str__(self) -> str:
        return f"{self.provider} ({self.specs[0].path.name}) was not asked: {one_line(str(self.error))}"


@dataclass(frozen=True)
class Overview:
    """What was found, and who could not be asked."""

    clusters: tuple[Found, ...]
    not_asked: tuple[NotAsked, ...]


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


def look(
    specs: Sequence[ClusterSpec],
    states: Path,
    *,
    load: Load = providers.load,
    leave_out: Collection[str] = (),
) -> Overview:
    """Ask every account of the configs, all at once; one that cannot be asked hides no other.

    Args:
        specs: the configs.
        states: the folder of the states that are here.
        load: returns a provider by name, for a config and its state folder.
        leave_out: names of providers that are not asked.
    """
    accounts: dict[str, tuple[str, list[ClusterSpec]]] = {}
    for spec in specs:
        for name in _providers(spec):
            if name not in leave_out:
                accounts.setdefault(_account(name, spec), (name, []))[1].append(spec)

    def ask(account: tuple[str, list[ClusterSpec]]) -> tuple[Provider, list[Machine]] | NotAsked:
        name, its_specs = account
        try:
            provider = load(name, its_specs[0], states / its_specs[0].name)
            return provider, provider.everything()
        except MusterError as error:
            return NotAsked(name, tuple(its_specs), error)

    machines: dict[tuple[str, str], tuple[Provider, Machine]] = {}
    not_asked: list[NotAsked] = []
    with ThreadPoolExecutor(max_workers=_THREADS) as pool:
        for (name, _), answer in zip(accounts.values(), pool.map(ask, accounts.values()), strict=True):
            if isinstance(answer, NotAsked):
                not_asked.append(answer)
            else:
                provider, listed = answer
                for machine in listed:
                    machines.setdefault((name, machine.provider_id), (provider, machine))
    here = {identity: name for name, identity in known_clusters(states)}
    by_cluster: dict[tuple[str, str, str], list[tuple[Provider, Machine]]] = {}
    for (name, _), (provider, machine) in machines.items():
        if machine.state is not NodeState.GONE:
            key = (machine.labels.get("cluster", ""), machine.labels.get("cluster_id", ""), name)
            by_cluster.setdefault(key, []).append((provider, machine))
    found = [_found(*key, members, here=key[1] in here) for key, members in by_cluster.items()]
    listed_here = {(cluster.cluster, cluster.id) for cluster in found}
    found += [
        Found(name, id, "", (), 0.0, here=True) for id, name in here.items() if (name, id) not in listed_here
    ]
    found.sort(key=lambda cluster: (cluster.cluster, cluster.id, cluster.provider))
    return Overview(tuple(found), tuple(not_asked))


def _found(
    cluster: str, id: str, name: str, members: Sequence[tuple[Provider, Machine]], *, here: bool
) -> Found:
    provider, machines = members[0][0], tuple(machine for _, machine in members)
    return Found(cluster, id, name, machines, _hourly(machines, paid=provider.paid), here, provider)


def _providers(spec: ClusterSpec) -> list[str]:
    return sorted({group.provider for group in spec.groups} | {spec.provider})


def _account(name: str, spec: ClusterSpec) -> str:
    """Return what tells two accounts or regions of one provider from each other."""
    own = facts_of(name).block
    groups = [group.settings for group in spec.groups if group.provider == name]
    return repr((name, spec.block(own) if own else None, groups))


def _hourly(machines: Iterable[Machine], *, paid: bool) -> float | None:
    """Return what machines cost by their own labels; None when one does not say."""
    if not paid:
        return 0.0
    total = 0.0
    for machine in machines:
        said = machine.labels.get("price", "")
        if machine.bills_as_stopped:
            said = machine.labels.get("price_stopped", said)
        try:
            total += float(said)
        except ValueError:
            return None
    return total
