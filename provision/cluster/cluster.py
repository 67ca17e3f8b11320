"""A cluster as a whole: make it as wished, stop it, destroy it.

plan -> journal -> provider -> wait -> inventory. What a provider lists is the truth; the journal says what
was begun.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from provision import providers
from provision.cluster.adoption import Adoption, Reader, read_master
from provision.cluster.carry_out import Work
from provision.cluster.endings import Endings
from provision.cluster.orders import Orders
from provision.cluster.store import StoreLink, Stores
from provision.cluster.view import ClusterView
from provision.config.load import require_dataset
from provision.core.errors import NotReady, PlanRefused
from provision.core.model import (
    ClusterIdentity,
    ClusterSpec,
    NodeGroup,
    NodeState,
    Outcome,
)
from provision.core.reporter import Reporter
from provision.costs import ledger
from provision.costs.accounts import read_accounts
from provision.jobs.busy import refuse_while_busy
from provision.providers.base import Provider
from provision.ssh.files import close_shared_connections
from provision.ssh.pinning import RealTrust, Trust
from provision.state import journal
from provision.state.lease import FILE as LEASE_FILE
from provision.state.lease import Lease
from provision.state.timeline import FILE as TIMELINE_FILE
from provision.state.timeline import ConsoleReporter, Timeline

Bake = Callable[[ClusterSpec, NodeGroup], str]


class Cluster(ClusterView):
    """One cluster of one config file, to make and to end.

    Args:
        spec, root, provider: see `ClusterView`.
        reporter: told phases and progress.
        bake: returns the image key of a group's machines, making the image when needed.
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
        super().__init__(spec, root=root, provider=provider)
        self._reporter: Reporter = reporter or ConsoleReporter()
        self._bake = bake or self._image
        self._trust: Trust = trust or RealTrust()
        self._stores: StoreLink = stores or Stores(self._reporter, vault or {})

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
            refuse_while_busy(self.spec.name, self.queue)
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
            self.state.journal.open("destroy", token=journal.new_token())
        orders = self._orders(identity, guard)
        with self._reporter.phase("destroy"):
            close_shared_connections(identity.id)
            orders.delete_all()
            for name in sorted(view.stores):
                guard()
                self._stores.close(name, identity)
        accounts = read_accounts(self.state.journal.records())
        if remembered := ledger.entry(identity.name, identity.id, accounts, time.time()):
            ledger.append(self.state.parent, remembered)
        return Outcome(deleted=tuple(orders.deleted))

    def _work(self, orders: Orders, guard: Callable[[], None]) -> Work:
        return Work(self.spec, self.state, self._reporter, self._trust, self._stores, orders, guard)

    def _endings(self, orders: Orders) -> Endings:
        return Endings(self.spec, self.state, orders, self._trust, time.time())

    def _image(self, spec: ClusterSpec, group: NodeGroup) -> str:
        from provision.cluster import (
            baking,  # it makes clusters of its own to bake in: a circle only at import time
        )
        from provision.images import recipe

        wanted = recipe.node_recipe(spec, group)
        # Elsewhere an image with the recipe's key is used where there is one, else a base image.
        return baking.ensure(wanted, self._reporter) if group.provider == "local" else wanted.key

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
