"""A cluster as a whole: make it as wished, destroy it, say what would be done.

plan -> journal -> provider -> wait -> inventory. What a provider lists is the truth; the journal says what
was begun.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from provision import costs, firstboot, job_time, jobs, ledger, providers
from provision.adopt import Adoption, Reader, read_master
from provision.config import require_dataset
from provision.connect import (
    RealTrust,
    Trust,
    close_shared_connections,
)
from provision.endings import Endings
from provision.errors import NotReady, PlanRefused
from provision.lease import FILE as LEASE_FILE
from provision.lease import Lease
from provision.mixture import refusals
from provision.model import (
    ClusterIdentity,
    ClusterSpec,
    Machine,
    Node,
    NodeGroup,
    NodeState,
    Outcome,
    Plan,
)
from provision.offer import Offer, make_offer
from provision.orders import Orders
from provision.plan import machine_number, make_plan
from provision.project import project_root, states_folder
from provision.providers.base import Provider
from provision.state import State
from provision.storelink import StoreLink, Stores
from provision.timeline import FILE as TIMELINE_FILE
from provision.timeline import ConsoleReporter, Reporter, Timeline
from provision.work import Work, node_of

Bake = Callable[[ClusterSpec, NodeGroup], str]


class Cluster:
    """One cluster of one config file.

    Args:
        spec: the validated config.
        root: the project's folder; found from the config file's place when not given.
        reporter: told phases and progress.
        bake: returns the image key of a group's machines, making the image when needed.
        provider: returns a provider by name, for a config.
        trust: how machines are reached.
        stores: how the object store is opened and closed.
        vault: secret variables that are needed here: the keys of a store elsewhere.
    """

    def __init__(
        self,
        spec: ClusterSpec,
        *,
        root: Path | None = None,
        reporter: Reporter | None = None,
        bake: Bake | None = None,
        provider: Callable[[str, ClusterSpec], Provider] = providers.load,
        trust: Trust | None = None,
        stores: StoreLink | None = None,
        vault: Mapping[str, str] | None = None,
    ) -> None:
        self.spec = spec
        self.root = root or project_root(spec.path.parent)
        self.state = State(states_folder(self.root) / spec.name)
        self._reporter: Reporter = reporter or ConsoleReporter()
        self._bake = bake or self._image
        self._trust: Trust = trust or RealTrust()
        self._stores: StoreLink = stores or Stores(self._reporter, vault or {})
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
        found = self.state.identity()
        machines = self._orders(found, lambda: None).machines() if found else []
        return self._planned(self._wanted(wish), machines, scale_in=scale_in)

    def offer(self, *, wish: int | None = None, scale_in: bool = False) -> Offer:
        """Return what `ensure` would do and what that costs. Changes nothing."""
        found = self.state.identity()
        orders = self._orders(found, lambda: None) if found else None
        plan = self._planned(self._wanted(wish), orders.machines() if orders else [], scale_in=scale_in)
        return self._offered(self._wanted(wish), plan, orders)

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

    def ensure(self, *, wish: int | None = None, scale_in: bool = False) -> Outcome:
        """Make the machines as wished; again, it changes nothing.

        Args:
            wish: master + workers; without it `-e NUM_NODES`, else the size last wished, else the config's.
            scale_in: machines beyond the wish may be deleted.

        Raises:
            PlanRefused, NotReady, LeaseHeld: nothing was changed.
            MusterError: what was done is journalled; the same call goes on from there.
        """
        with self._leased() as guard:
            try:
                return self._ensure(wish, scale_in, guard)
            finally:
                self.state.remove_if_blank()

    def destroy(self) -> Outcome:
        """Delete every machine, confirm that it is gone, forget the cluster; the object store stays."""
        self.state.sweep()
        if not self.state.folder.is_dir():
            return Outcome()
        with self._leased() as guard:
            found = self.state.identity()
            if found is None:
                self.state.remove()
                return Outcome()
            outcome = self._destroy(found, guard)
            self.state.remove()
            return outcome

    def allow(self, sources: Sequence[str] = ()) -> list[str]:
        """Let addresses (by default this computer's) reach SSH; return those that could not before."""
        names = sorted({group.provider for group in self.spec.groups})
        return [new for name in names for new in self._provider(name).allow(self.identity, sources)]

    def stop(self, *, force: bool = False) -> list[str]:
        """Power the machines off; what is on their disks stays. Returns the names of those that ran.

        Args:
            force: also while a job runs; it is ended.

        Raises:
            NotReady, PlanRefused, LeaseHeld: nothing was changed.
            ProviderError: the same call again goes on.
        """
        identity = self.identity
        if not force and any(node.machine.state is NodeState.RUNNING for node in self.nodes):
            job_time.refuse_while_busy(self.spec.name, jobs.queue_of(self))
        with self._leased() as guard, self._reporter.phase("stop"):
            orders = self._orders(identity, guard)
            stopped = self._endings(orders).stop(self._stores)
            orders.keep_books(orders.machines())
            return stopped

    def extend(self, duration: str) -> float:
        """Move the deadline by a duration such as `4h`; return it. Raises MusterError; again goes on."""
        identity = self.identity
        with self._leased() as guard:
            return self._endings(self._orders(identity, guard)).extend(duration, self._reporter.say)

    def renew_store_keys(self) -> None:
        """Keep fresh keys of an object store elsewhere for the nodes. Raises NotReady when there are none."""
        self._stores.renew(self.spec, self.state)

    def adopt(self, key_file: Path, *, id: str = "", read: Reader = read_master) -> ClusterIdentity:
        """Make the state of a cluster that is running anew, with a key in `access`; see `adopt.Adoption`."""
        adoption = Adoption(self.spec, self.state, self._provider, key_file, id, read)
        with self._leased() as guard:
            try:
                if self.state.load().complete:
                    raise NotReady(where=self.spec.name, what="its state is here already")
                if not self.state.exists():
                    adoption.prepare()
                orders = self._orders(self.identity, guard)
                adoption.finish(
                    orders.machines(), self._work(orders, guard), lambda: self._stores.prepare(self.spec)
                )
                return self.identity
            finally:
                self.state.remove_if_blank()

    def lock(self) -> None:
        """Take the lease for the rest of this command, so that no other one changes the cluster meanwhile."""
        self.identity  # noqa: B018  (raises when there is no cluster)
        Lease(self.state.folder).take(say=self._reporter.say)

    def _ensure(self, wish: int | None, scale_in: bool, guard: Callable[[], None]) -> Outcome:
        if any(intent.verb == "destroy" for intent in self.state.journal.read().intents.values()):
            self._reporter.say("finishing the destroy that was interrupted")
            self._destroy(self.identity, guard)
            self.state.reset(keep=LEASE_FILE)
        recorded = self.state.identity()
        identity = recorded or self.state.new_identity()
        orders = self._orders(identity, guard)
        wanted = self._wanted(wish)
        if recorded:
            orders.replay()
        machines = orders.machines() if recorded else []
        orders.keep_books(machines)
        plan = self._planned(wanted, machines, scale_in=scale_in)
        plan = self._offered(wanted, plan, orders).plan
        if plan.refuse:
            raise PlanRefused(where=self.spec.name, what="; ".join(plan.refuse))
        endings = self._endings(orders)
        term = endings.settle(plan, wanted)
        if plan.create:
            require_dataset(self.spec)
        if plan.create or plan.start:
            for name in sorted({group.provider for group in self.spec.groups}):
                self._provider(name).check_ready(self.spec, plan)
        with ThreadPoolExecutor() as pool:  # the store's image beside the nodes'
            preparing = pool.submit(self._stores.prepare, self.spec)
            images = {group.name: self._bake(self.spec, group) for group, _ in plan.create}
            prepared = preparing.result()
        self.state.begin(identity)
        self._record()
        if self.wish != wanted:
            self.state.journal.wish(wanted)
        endings.begin(term)
        self._work(orders, guard).carry_out(plan, images=images, store_image=prepared)
        endings.arm()
        return Outcome(tuple(orders.created), tuple(orders.started), tuple(orders.deleted))

    def _destroy(self, identity: ClusterIdentity, guard: Callable[[], None]) -> Outcome:
        view = self.state.journal.read()
        if not any(intent.verb == "destroy" for intent in view.intents.values()):
            self.state.journal.open("destroy", token=firstboot.new_token())
        orders = self._orders(identity, guard)
        with self._reporter.phase("destroy"):
            close_shared_connections(identity.id)
            orders.delete_all()
            for name in sorted(view.stores):
                guard()
                self._stores.close(name, identity)
        accounts = costs.accounts(self.state.journal.records())
        if remembered := ledger.entry(identity.name, identity.id, accounts, time.time()):
            ledger.append(self.state.parent, remembered)
        return Outcome(deleted=tuple(orders.deleted))

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

    def _work(self, orders: Orders, guard: Callable[[], None]) -> Work:
        return Work(self.spec, self.state, self._reporter, self._trust, self._stores, orders, guard)

    def _orders(self, identity: ClusterIdentity, guard: Callable[[], None]) -> Orders:
        return Orders(self.spec, self.state, identity, self._provider, guard)

    def _endings(self, orders: Orders) -> Endings:
        return Endings(self.spec, self.state, orders, self._trust, time.time())

    def _provider(self, name: str) -> Provider:
        if name not in self._providers:
            self._providers[name] = self._load(name, self.spec)
        return self._providers[name]

    def _image(self, spec: ClusterSpec, group: NodeGroup) -> str:
        from provision import (
            images,
            recipe,
        )  # it makes clusters of its own to bake in: a circle only at import time

        wanted = recipe.node_recipe(spec, group)
        # Elsewhere an image with the recipe's key is used where there is one, else a base image.
        return images.ensure(wanted, self._reporter) if group.provider == "local" else wanted.key

    def _record(self) -> None:
        if isinstance(self._reporter, ConsoleReporter):
            self._reporter.record_in(Timeline(self.state.folder / TIMELINE_FILE))

    @contextmanager
    def _leased(self) -> Iterator[Callable[[], None]]:
        """Hold the lease; yields what must be called before every call to a provider."""
        lease = Lease(self.state.folder)
        lease.take(say=self._reporter.say)
        try:
            with lease.watched():
                yield lease.check
        finally:
            lease.leave()

    def _not_started(self) -> NotReady:
        return NotReady(
            where=self.spec.name,
            what="this cluster has not been started",
            remedy="Run start_cluster.yml first",
        )
