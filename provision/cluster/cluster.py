"""A cluster as a whole: make it as wished, stop it, destroy it.

plan -> journal -> provider -> wait -> inventory. What a provider lists is the truth; the journal says what
was begun.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from provision.cluster import adoption, deadline, history, sources, stopping
from provision.cluster.adoption import Reader, read_master
from provision.cluster.carry_out import carry_out
from provision.cluster.decommission import decommission
from provision.cluster.orders import Orders
from provision.cluster.run import Run
from provision.cluster.sources import Change
from provision.cluster.store import Bake, StoreLink
from provision.cluster.view import ClusterView
from provision.config.load import require_dataset
from provision.core.errors import NotReady, PlanRefused
from provision.core.model import ClusterIdentity, NodeState, Outcome, Plan
from provision.core.names import MASTER
from provision.core.reporter import Reporter
from provision.core.spec import NodeGroup
from provision.core.text import moment
from provision.costs import ledger
from provision.costs.accounts import read_accounts
from provision.images.recipe import node_recipe
from provision.jobs.busy import refuse_while_busy
from provision.providers.facts import facts_of
from provision.ssh.pinning import Reach
from provision.state.journal import new_token
from provision.state.lease import FILE as LEASE_FILE
from provision.state.lease import Lease
from provision.state.timeline import FILE as TIMELINE_FILE
from provision.state.timeline import ConsoleReporter, Timeline


class Cluster:
    """One cluster of one config file, to make and to end; `open.open_cluster` puts its parts together.

    Args:
        view: the cluster as it is.
        reporter: told phases and progress.
        reach: the way to its machines.
        stores: opens and closes its object store.
        bake: returns the image key of a recipe, making the image when needed.
    """

    def __init__(
        self, view: ClusterView, *, reporter: Reporter, reach: Reach, stores: StoreLink, bake: Bake
    ) -> None:
        self.view = view
        self.spec = view.spec
        self.state = view.state
        self._reporter = reporter
        self._reach = reach
        self._stores = stores
        self._bake = bake

    def ensure(self, *, scale_in: bool = False) -> Outcome:
        """Make the machines as wished: in the size given now, else the one wished last, else the config's.

        Again, it changes nothing.

        Args:
            scale_in: machines beyond the wish may be deleted.

        Raises:
            PlanRefused, NotReady, LeaseHeld: nothing was changed.
            MusterError: what was done is journalled; the same call goes on from there.
        """
        with self._leased() as guard:
            try:
                if self._destroying():
                    self._reporter.say("finishing the destroy that was interrupted")
                    self._destroy(self._run(self.view.identity, guard))
                    self.state.reset(keep=LEASE_FILE)
                return self._ensure(scale_in, guard)
            finally:
                self.state.remove_if_blank()

    def ready(self, plan: Plan) -> list[str]:
        """Ask for all that a plan needs before any of it is made; return what could not be asked for.

        Raises:
            ConfigError, NotReady, ProviderError: it cannot be carried out. Nothing was changed.
        """
        if plan.create:
            require_dataset(self.spec)
        return [*self.view.ready(plan), *self._stores.check(self.spec, self.state)]

    def destroy(self, *, force: bool = False) -> Outcome:
        """Delete every machine, confirm that it is gone, forget the cluster; the object store stays.

        Args:
            force: also while a job runs.

        Raises:
            PlanRefused, LeaseHeld: nothing was changed.
            MusterError: the same call again goes on, and asks for no job any more.
        """
        self.state.sweep()
        if not self.state.folder.is_dir():
            return Outcome()
        with self._leased() as guard:
            found = self.state.identity()
            outcome = Outcome()
            if found is not None:
                if not force and not self._destroying():
                    self.refuse_while_busy()
                outcome = self._destroy(self._run(found, guard))
            self.state.remove()
            return outcome

    def refuse_while_busy(self) -> None:
        """Raise PlanRefused while a job runs or waits; a master that is off, or silent, stops nobody."""
        master = next((node.machine for node in self.view.nodes if node.group.name == MASTER), None)
        if master is not None and master.state is NodeState.RUNNING:
            with suppress(NotReady):  # it never got as far as a queue
                refuse_while_busy(self.view.queue)

    def allow(self, networks: Sequence[str] = (), *, only: bool = False) -> Change:
        """Let networks (by default this computer's address) reach SSH; see `sources.allow`.

        It waits for no other command, which may be waiting for just that.
        """
        return sources.allow(self._run(self.view.identity, lambda: None), networks, only=only)

    def stop(self, *, force: bool = False) -> list[str]:
        """Power the machines off; what is on their disks stays. Returns the names of those that ran.

        Args:
            force: also while a job runs; it is ended.

        Raises:
            NotReady, PlanRefused, LeaseHeld: nothing was changed.
            ProviderError: the same call again goes on.
        """
        identity = self.view.identity
        with self._leased() as guard:
            if not force:
                self.refuse_while_busy()
            with self._reporter.phase("stop"):
                run = self._run(identity, guard)
                orders = Orders(run)
                history.save(run)
                stopped = stopping.stop(run, orders)
                orders.keep_books(orders.machines())
                return stopped

    def extend(self, duration: str) -> float:
        """Move the deadline by a duration such as `4h`; return it. Raises MusterError; again goes on."""
        identity = self.view.identity
        with self._leased() as guard:
            run = self._run(identity, guard)
            return deadline.extend(run, Orders(run), duration)

    def renew_store_keys(self) -> None:
        """Keep fresh keys of an object store elsewhere for the nodes, and say when they end too early.

        Raises NotReady when there are none that nodes may have.
        """
        ends = self._stores.renew(self.spec, self.state)
        if ends and not 0 < self.view.deadline <= ends:
            self._reporter.say(
                f"The nodes' keys of the object store end {moment(ends)}, before the machines do: run "
                "main.yml until then, which brings new ones, or nothing more is read from it and brought home"
            )

    def adopt(self, key_file: Path, *, id: str = "", read: Reader = read_master) -> ClusterIdentity:
        """Make the state of a cluster that is running anew, with a key in `access`.

        Args:
            key_file: a private key whose public one stands in `access`.
            id: which cluster, when several have this name.
            read: reads files of the master.

        Raises:
            NotReady, ConfigError, HostKeyMismatch, Unreachable, ProviderError: nothing was adopted, or the
            same call again goes on.
        """
        with self._leased() as guard:
            try:
                if self.state.load().complete:
                    raise NotReady(where=self.spec.name, what="its state is here already")
                if not self.state.exists():
                    adoption.require_access(self.spec, key_file)
                    identity, found = adoption.find(self.spec, self.view.provider, id)
                    adoption.rebuild_state(self._run(identity, guard), found, key_file, read)
                adoption.finish(self._run(self.view.identity, guard))
                return self.view.identity
            finally:
                self.state.remove_if_blank()

    def let_through(self) -> None:
        """Put right what this computer's firewall keeps back of a running cluster, and say so."""
        for fault in self.view.cut_off(mend=True):
            self._reporter.say(f"{fault}: put right")

    def lock(self) -> None:
        """Take the lease for the rest of this command, so that no other one changes the cluster meanwhile."""
        self.view.identity  # noqa: B018  (raises when there is no cluster)
        Lease(self.state.folder).take(say=self._reporter.say)

    def _ensure(self, scale_in: bool, guard: Callable[[], None]) -> Outcome:
        recorded = self.state.identity()
        run = self._run(recorded or self.state.new_identity(), guard)
        orders = Orders(run)
        spec = self.view.wished()
        if recorded:
            self.let_through()
            orders.replay()
        machines = orders.machines() if recorded else []
        orders.keep_books(machines)
        plan = self.view.planned(spec, machines, scale_in=scale_in)
        plan = self.view.offered(spec, plan, orders.listing).plan
        if plan.refuse:
            raise PlanRefused(where=self.spec.name, what="; ".join(plan.refuse))
        if plan.reshape:
            self.refuse_while_busy()
        term = deadline.settle(run, spec, plan)
        for line in self.ready(plan):
            self._reporter.say(line)
        own_address = sources.find_out(self.spec, plan, self._reporter.say)
        with ThreadPoolExecutor() as pool:  # the store's image beside the nodes'
            preparing = pool.submit(self._stores.prepare, self.spec)
            images = {group.name: self._image(group) for group, _ in plan.create}
            store_image = preparing.result()
        self.state.begin(run.identity)
        self.state.admit(own_address)
        self._record()
        decommission(run, plan)
        last = self.state.journal.read()
        if (last.wish, last.scale) != (spec.nodes, spec.scale):
            self.state.journal.wish(spec.nodes, spec.scale)
        deadline.begin(run, orders, term, plan.keep)
        carry_out(run, orders, plan, images=images, store_image=store_image)
        deadline.arm(run, orders)
        return orders.outcome

    def _destroying(self) -> bool:
        """Say whether a destroy was begun and not finished."""
        return any(intent.verb == "destroy" for intent in self.state.journal.read().intents.values())

    def _destroy(self, run: Run) -> Outcome:
        view = self.state.journal.read()
        if not self._destroying():
            self.state.journal.open("destroy", token=new_token())
        orders = Orders(run)
        with self._reporter.phase("destroy"):
            history.save(run)
            run.reach.close_shared(run.state)
            orders.delete_all()
            for name in sorted(view.stores):
                run.guard()
                run.stores.close(name, run.identity)
        accounts = read_accounts(self.state.journal.records())
        if remembered := ledger.entry(run.identity.name, run.identity.id, accounts, time.time()):
            ledger.append(self.state.parent, remembered)
        return orders.outcome

    def _run(self, identity: ClusterIdentity, guard: Callable[[], None]) -> Run:
        return Run(
            spec=self.spec,
            state=self.state,
            identity=identity,
            provider=self.view.provider,
            reporter=self._reporter,
            reach=self._reach,
            stores=self._stores,
            guard=guard,
        )

    def _image(self, group: NodeGroup) -> str:
        """Return the image key of a group's machines, after making the image where they are made here.

        Elsewhere an image with the recipe's key is used where there is one, else a base image.
        """
        recipe = node_recipe(self.spec, group)
        return self._bake(recipe) if facts_of(group.provider).here else recipe.key

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
