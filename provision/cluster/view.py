"""What a cluster is and what would be done to it; nothing here changes anything."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from provision import providers
from provision.cluster.listing import Listing
from provision.core.errors import NotReady, PlanRefused
from provision.core.model import ClusterIdentity, Machine, Node, NodeState, Plan
from provision.core.names import machine_number
from provision.core.paths import states_folder
from provision.core.spec import ClusterSpec, NodeGroup
from provision.core.text import names_of
from provision.costs.offer import Offer, make_offer
from provision.jobs.queue import Queue, queue_of
from provision.planning.nodes import node_of, reshaped, services
from provision.planning.plan import make_plan
from provision.planning.sites import refusals
from provision.planning.sizing import shortage
from provision.providers.base import Provider
from provision.providers.facts import facts_in, facts_of
from provision.state.folder import State


class ClusterView:
    """One cluster of one config file, to look at.

    Args:
        spec: the validated config.
        root: the project's folder, which has the states and the results of jobs.
        provider: returns a provider by name, for a config and its state folder; asked once for each.
        daemons: False: nothing will run on its machines, which need no memory for it.
        queue: returns the queue of jobs of the cluster with a state; results go below `root`.
    """

    def __init__(
        self,
        spec: ClusterSpec,
        *,
        root: Path,
        provider: Callable[[str, ClusterSpec, Path], Provider] = providers.load,
        daemons: bool = True,
        queue: Callable[[State, Path], Queue] = queue_of,
    ) -> None:
        self.spec = spec
        self.root = root
        self.state = State(states_folder(root) / spec.name)
        self.provider: Callable[[str], Provider] = cache(lambda name: provider(name, spec, self.state.folder))
        self._daemons = daemons
        self._queue = queue

    @property
    def identity(self) -> ClusterIdentity:
        """The cluster's name and id. Raises NotReady when it was not started."""
        found = self.state.identity()
        if found is None:
            raise self._not_started()
        return found

    @property
    def queue(self) -> Queue:
        """The queue of jobs on its master. Raises NotReady when it was not started."""
        return self._queue(self.state, self.root)

    @property
    def wish(self) -> int | None:
        """The size last wished (master + workers), or None."""
        return self.state.journal.read().wish

    @property
    def deadline(self) -> float:
        """When the machines end by themselves, in seconds since the epoch; 0 = they do not."""
        return self.state.journal.read().term.deadline

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The machines that exist now, as their providers list them; () when the cluster was not started."""
        found = self.state.identity()
        if found is None:
            return ()
        order = {group.name: index for index, group in enumerate(self.spec.groups)}
        machines = self._listing(found).machines()
        machines.sort(key=lambda m: (order.get(m.group, len(order)), machine_number(m.name)))
        return tuple(node_of(self.spec, machine) for machine in machines)

    def plan(self, *, scale_in: bool = False) -> Plan:
        """Return what `ensure` would do. Changes nothing."""
        return self._looked(self.wished(), scale_in=scale_in)[0]

    def offer(self, *, scale_in: bool = False) -> Offer:
        """Return what `ensure` would do and what that costs. Changes nothing."""
        spec = self.wished()
        return self.offered(spec, *self._looked(spec, scale_in=scale_in))

    def cut_off(self, *, mend: bool = False) -> list[str]:
        """Return what here keeps the cluster's packets back, a line each; `mend` puts it right."""
        found = self.state.identity()
        if found is None:
            return []
        names = sorted({group.provider for group in self.spec.groups})
        return [fault for name in names for fault in self.provider(name).cut_off(found, mend=mend)]

    def require_passage(self) -> None:
        """Raise NotReady when this computer keeps the cluster's packets back: all else would wait long."""
        if faults := self.cut_off():
            raise NotReady(where=self.spec.name, what="; ".join(faults), remedy="./muster up puts that right")

    def check(self) -> None:
        """Raise NotReady, in one line, unless every machine that is wished is there and runs.

        So, too, when the object store is not the one that the cluster was started with.
        """
        if self.state.identity() is None:
            raise self._not_started()
        plan = self.plan()
        if plan.keep and all(machine.state is NodeState.STOPPED for machine in plan.keep):
            raise NotReady(
                where=self.spec.name, what="the cluster is stopped", remedy="Run start_cluster.yml"
            )
        short = [name for _, names in plan.create for name in names] + [
            machine.name for machine in plan.start
        ]
        if short or not self.state.load().complete:
            what = (
                f"of {self.wished().nodes} nodes wished, {', '.join(short)} not running"
                if short
                else "not all reachable yet"
            )
            raise NotReady(where=self.spec.name, what=what, remedy="Run start_cluster.yml")
        if plan.reshape:
            names = names_of([machine.name for _, machines in plan.reshape for machine in machines])
            raise NotReady(
                where=names,
                what="has not the CORES and MEMORY_GB that were wished",
                remedy="Run start_cluster.yml",
            )
        if plan.refuse:
            raise PlanRefused(where=self.spec.name, what="; ".join(plan.refuse))
        self._require_same_store()

    def wished(self) -> ClusterSpec:
        """Return the config in size and scale as wished now, else as wished last, else its own."""
        last = self.state.journal.read()
        return self.spec.wished(last.wish, last.scale)

    def planned(self, spec: ClusterSpec, machines: Sequence[Machine], *, scale_in: bool) -> Plan:
        """Return the plan; what does not fit together is refused before any of it is made."""
        plan = make_plan(spec, machines, scale_in=scale_in)
        unfit = refusals(spec) if plan.create else ()
        return replace(plan, refuse=(*plan.refuse, *unfit))

    def offered(self, spec: ClusterSpec, plan: Plan, listing: Listing | None) -> Offer:
        """Put prices to a plan; one beyond the budget, or with machines unlike the config, is refused.

        `listing` has listed the machines of the plan; None: the cluster was never started.
        """
        to_be = {m.name: reshaped(m, group) for group, machines in plan.reshape for m in machines}
        kept = [to_be.get(machine.name, machine) for machine in plan.keep]
        unlike = listing.unlike(spec, kept) if listing else ()
        return make_offer(spec, replace(plan, refuse=(*plan.refuse, *unlike)), self.provider)

    def ready(self, plan: Plan) -> list[str]:
        """Ask the providers whether a plan can be carried out; return what could not be asked for.

        Raises NotReady, ProviderError: it cannot.
        """
        if not (plan.create or plan.reshape or plan.start):
            return []
        names = sorted({group.provider for group in self.spec.groups})
        not_asked = [line for name in names for line in self.provider(name).check_ready(self.spec, plan)]
        if self._daemons:
            self._require_memory([group for group, _ in plan.create])
        return not_asked

    def stays(self) -> list[str] | None:
        """Return the machines that would stay, and bill on, when their time is over, as providers tell.

        None: they do not end by themselves, or nobody can be asked. Raises NotReady, ProviderError.
        """
        asked = sorted({facts.name for facts in facts_in(self.spec) if facts.poweroff_deletes})
        if not asked or not (self.deadline or self.spec.ends_by_itself):
            return None
        nodes = self.nodes
        there = {name: [node.machine for node in nodes if node.group.provider == name] for name in asked}
        return [stays for name in asked for stays in self.provider(name).stays_at_poweroff(there[name])]

    def _looked(self, spec: ClusterSpec, *, scale_in: bool) -> tuple[Plan, Listing | None]:
        """Return the plan for the machines that exist, and what has listed them (None: never started)."""
        found = self.state.identity()
        listing = self._listing(found) if found else None
        return self.planned(spec, listing.machines() if listing else [], scale_in=scale_in), listing

    def _require_memory(self, groups: Iterable[NodeGroup]) -> None:
        """Raise NotReady when machines to be made are too small for what will run on them.

        Where the config alone tells what they have, `sites.refusals` says so.
        """
        for group in groups:
            for kind in self.provider(group.provider).types(group):
                if too_few := shortage(
                    group.name, kind.shape.cores, kind.shape.memory_gb, services(self.spec, group)
                ):
                    where = facts_of(group.provider).decides_shape(group)
                    raise NotReady(where=where, what=f"{kind.name}: {too_few}", remedy="Name a larger type")

    def _listing(self, identity: ClusterIdentity) -> Listing:
        return Listing(self.spec, self.state.journal, identity, self.provider)

    def _require_same_store(self) -> None:
        """Raise NotReady when the config's store on this computer is not the one in the snapshot.

        The inventory has that one: its machine, which other clusters may use, would be given other keys.
        """
        wished, started = self.spec.object_store, self.state.load().store
        if (started.name if started else None) != (wished.name if wished.here else None):
            now = f"kind {wished.kind}" + (f", name {wished.name}" if wished.here else "")
            then = f"the store {started.name} of this computer" if started else "another kind of store"
            raise NotReady(
                where=f"{self.spec.name}: object_store",
                what=f"is {now} in the config; the cluster was started with {then}",
                remedy="Run start_cluster.yml, which changes it, or put the config back",
            )

    def _not_started(self) -> NotReady:
        return NotReady(
            where=self.spec.name,
            what="this cluster has not been started",
            remedy="Run start_cluster.yml first",
        )
