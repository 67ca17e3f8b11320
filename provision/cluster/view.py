"""What a cluster is and what would be done to it; nothing here changes anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from provision import providers
from provision.cluster.listing import Listing
from provision.core.errors import NotReady, PlanRefused
from provision.core.model import ClusterIdentity, Machine, Node, NodeState, Plan
from provision.core.names import machine_number
from provision.core.paths import states_folder
from provision.core.spec import ClusterSpec
from provision.costs.offer import Offer, make_offer
from provision.jobs.queue import Queue, queue_of
from provision.planning.nodes import node_of
from provision.planning.plan import make_plan
from provision.planning.sites import refusals
from provision.providers.base import Provider
from provision.state.folder import State


class ClusterView:
    """One cluster of one config file, to look at.

    Args:
        spec: the validated config.
        root: the project's folder, which has the states and the results of jobs.
        provider: returns a provider by name, for a config and its state folder; asked once for each.
        queue: returns the queue of jobs of the cluster with a state; results go below `root`.
    """

    def __init__(
        self,
        spec: ClusterSpec,
        *,
        root: Path,
        provider: Callable[[str, ClusterSpec, Path], Provider] = providers.load,
        queue: Callable[[State, Path], Queue] = queue_of,
    ) -> None:
        self.spec = spec
        self.root = root
        self.state = State(states_folder(root) / spec.name)
        self.provider: Callable[[str], Provider] = cache(lambda name: provider(name, spec, self.state.folder))
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

    def check(self) -> None:
        """Raise NotReady, in one line, unless every machine that is wished is there and runs."""
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
        if plan.refuse:
            raise PlanRefused(where=self.spec.name, what="; ".join(plan.refuse))

    def wished(self) -> ClusterSpec:
        """Return the config with its wished size: the one given now, else the last one, else its own."""
        return self.spec.wished(self.wish)

    def planned(self, spec: ClusterSpec, machines: Sequence[Machine], *, scale_in: bool) -> Plan:
        """Return the plan; what does not fit together is refused before any of it is made."""
        plan = make_plan(spec, machines, scale_in=scale_in)
        unfit = refusals(spec) if plan.create else ()
        return replace(plan, refuse=(*plan.refuse, *unfit))

    def offered(self, spec: ClusterSpec, plan: Plan, listing: Listing | None) -> Offer:
        """Put prices to a plan; one beyond the budget, or with machines unlike the config, is refused.

        `listing` has listed the machines of the plan; None: the cluster was never started.
        """
        unlike = listing.unlike(plan.keep) if listing else ()
        return make_offer(spec, replace(plan, refuse=(*plan.refuse, *unlike)), self.provider)

    def _looked(self, spec: ClusterSpec, *, scale_in: bool) -> tuple[Plan, Listing | None]:
        """Return the plan for the machines that exist, and what has listed them (None: never started)."""
        found = self.state.identity()
        listing = self._listing(found) if found else None
        return self.planned(spec, listing.machines() if listing else [], scale_in=scale_in), listing

    def _listing(self, identity: ClusterIdentity) -> Listing:
        return Listing(self.spec, self.state.journal, identity, self.provider)

    def _not_started(self) -> NotReady:
        return NotReady(
            where=self.spec.name,
            what="this cluster has not been started",
            remedy="Run start_cluster.yml first",
        )
