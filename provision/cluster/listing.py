"""The machines of a cluster as its providers list them, which is the truth about what exists."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from provision.core.model import ClusterIdentity, Machine, NodeState
from provision.core.spec import ClusterSpec
from provision.planning import fit
from provision.providers.base import Provider
from provision.state.journal import Journal


@dataclass
class Listing:
    """Lists the machines of one cluster, and knows of each which provider has listed it.

    Fields: `spec` (the config), `journal` (names the providers of the past), `identity` (the cluster's),
    `provider` (returns one by name).
    """

    spec: ClusterSpec
    journal: Journal
    identity: ClusterIdentity
    provider: Callable[[str], Provider]
    _listed_by: dict[str, str] = field(default_factory=dict)

    def machines(self) -> list[Machine]:
        """Return every machine that exists, at all providers that the cluster ever used, asked at once.

        Raises:
            ProviderError, NotReady: one of them cannot be asked.
        """
        names = self.providers()
        found: list[Machine] = []
        with ThreadPoolExecutor(max_workers=len(names)) as pool:
            for name, machines in zip(names, pool.map(self._list, names), strict=True):
                self._listed_by |= {machine.provider_id: name for machine in machines}
                found += machines
        return [machine for machine in found if machine.state is not NodeState.GONE]

    def _list(self, name: str) -> list[Machine]:
        return self.provider(name).list(self.identity)

    def providers(self) -> Sequence[str]:
        """Return the names of the providers that the cluster uses or has used."""
        return sorted({group.provider for group in self.spec.groups} | self.journal.read().providers)

    def provider_of(self, machine: Machine) -> str:
        """Return the name of the provider that has listed a machine."""
        return self._listed_by[machine.provider_id]

    def by_provider(self, machines: Iterable[Machine]) -> dict[str, list[Machine]]:
        """Return machines that were listed by the name of their provider."""
        found: dict[str, list[Machine]] = {}
        for machine in machines:
            found.setdefault(self.provider_of(machine), []).append(machine)
        return found

    def unlike(self, spec: ClusterSpec, machines: Iterable[Machine]) -> tuple[str, ...]:
        """Return why machines that were listed do not fit what is wished any more; () when they do."""
        return fit.refusals(
            spec,
            machines,
            self.provider_of,
            lambda group, machine: self.provider(group.provider).unlike(group, machine),
        )
