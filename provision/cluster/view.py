"""What a cluster is and what would be done to it; nothing here changes anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from provision import providers
from provision.cluster.orders import Orders
from provision.core.errors import NotReady, PlanRefused
from provision.core.model import ClusterIdentity, ClusterSpec, Machine, Node, NodeState, Plan
from provision.core.names import machine_number
from provision.core.paths import project_root, states_folder
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
        root: the project's folder; found from the config file's place when not given.
        provider: returns a provider by name, for a config.
    """

    def __init__(
        self,
        spec: ClusterSpec,
        *,
        root: Path | None = None,
        provider: Callable[[str, ClusterSpec], Provider] = providers.load,
    ) -> None:
        self.spec = spec
        self.root = root or project_root(spec.path.parent)
        self.state = State(states_folder(self.root) / spec.name)
        self._load = provider
        self._providers: dict[str, Provider] = {}

    @staticmethod
    def state_folder(name: str, root: Path | None = None) -> Path:
        """Return where the state of the cluster `name` lies, or would lie."""
        return states_folder(root or project_root()) / name

    @property
    def state_dir(self) -> Path:
        """The cluster's state folder; it may not exist."""
        return self.state.folder

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
        return queue_of(self.state, self.root)

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
        machines = self._orders(found, lambda: None).machines()
        machines.sort(key=lambda m: (order.get(m.group, len(order)), machine_number(m.name)))
        return tuple(node_of(self.spec, machine) for machine in machines)

    def plan(self, *, wish: int | None = None, scale_in: bool = False) -> Plan:
        """Return what `ensure` would do. Changes nothing."""
        return self._looked(self._wanted(wish), scale_in=scale_in)[0]

    def offer(self, *, wish: int | None = None, scale_in: bool = False) -> Offer:
        """Return what `ensure` would do and what that costs. Changes nothing."""
        wanted = self._wanted(wish)
        return self._offered(wanted, *self._looked(wanted, scale_in=scale_in))

    def check(self) -> None:
        """Raise NotReady, in one line, unless every machine that is wished is there and runs."""
        if self.state.identity() is None:
            raise self._not_started()
        wanted = self._wanted(None)
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
                f"of {wanted} nodes wished, {', '.join(short)} not running"
                if short
                else "not all reachable yet"
            )
            raise NotReady(where=self.spec.name, what=what, remedy="Run start_cluster.yml")
        if plan.refuse:
            raise PlanRefused(where=self.spec.name, what="; ".join(plan.refuse))

    def _looked(self, wish: int, *, scale_in: bool) -> tuple[Plan, Orders | None]:
        """Return the plan for the machines that exist, and what has listed them (None: never started)."""
        found = self.state.identity()
        orders = self._orders(found, lambda: None) if found else None
        return self._planned(wish, orders.machines() if orders else [], scale_in=scale_in), orders

    def _planned(self, wish: int, machines: Sequence[Machine], *, scale_in: bool) -> Plan:
        """Return the plan; what does not fit together is refused before any of it is made."""
        plan = make_plan(self.spec, wish, machines, scale_in=scale_in)
        unfit = refusals(replace(self.spec, nodes=wish)) if plan.create else ()
        return replace(plan, refuse=(*plan.refuse, *unfit))

    def _offered(self, wish: int, plan: Plan, orders: Orders | None) -> Offer:
        """Put prices to a plan; one beyond the budget, or with machines unlike the config, is refused."""
        unlike = orders.unlike(plan.keep) if orders else ()
        return make_offer(self.spec, wish, replace(plan, refuse=(*plan.refuse, *unlike)), self._provider)

    def _wanted(self, wish: int | None) -> int:
        if wish is not None:
            return wish
        recorded = self.state.journal.read().wish
        return self.spec.nodes if self.spec.nodes_given or recorded is None else recorded

    def _orders(self, identity: ClusterIdentity, guard: Callable[[], None]) -> Orders:
        return Orders(self.spec, self.state, identity, self._provider, guard)

    def _provider(self, name: str) -> Provider:
        if name not in self._providers:
            self._providers[name] = self._load(name, self.spec)
        return self._providers[name]

    def _not_started(self) -> NotReady:
        return NotReady(
            where=self.spec.name,
            what="this cluster has not been started",
            remedy="Run start_cluster.yml first",
        )
