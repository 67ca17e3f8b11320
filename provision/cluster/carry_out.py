"""Carrying out a plan: delete, start, create, and reach machines while the next ones are still being made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial

from provision.cluster.capacity import Patience, patience_of
from provision.cluster.orders import Orders
from provision.cluster.store import StoreLink
from provision.core.errors import MusterError, NotReady, ProviderError, TimedOut, raise_first
from provision.core.model import ClusterSpec, Machine, Plan
from provision.core.names import MASTER, STORE_HOST
from provision.core.reporter import Reporter
from provision.core.text import names_of
from provision.core.wait import until
from provision.planning.nodes import node_of
from provision.planning.plan import describe
from provision.providers.facts import deadlines
from provision.ssh import hostkey, keys
from provision.ssh.files import close_shared_connections, write_ssh_files
from provision.ssh.hostkey import LABEL as HOST_KEY
from provision.ssh.pinning import Connector, Trust
from provision.state.folder import Snapshot, State, Store

_THREADS = 64


@dataclass
class Work:
    """One run's work on a cluster. `guard` raises when this process must not go on."""

    spec: ClusterSpec
    state: State
    reporter: Reporter
    trust: Trust
    stores: StoreLink
    orders: Orders
    guard: Callable[[], None]
    _reaching: dict[str, Future[None]] = field(default_factory=dict)

    def carry_out(self, plan: Plan, *, images: Mapping[str, str], store_image: str) -> None:
        """Carry out a plan.

        Args:
            plan: one that refuses nothing.
            images: image key by group.
            store_image: image key of the object store's machine.

        Raises:
            MusterError: the journal has what was done; machines that cannot be reached stop no others.
        """
        for line in describe(plan):
            self.reporter.say(line)
        login_key = keys.ensure_login_key(self.state.key_file, f"muster-{self.spec.name}")
        self.state.secret("spark")
        with ThreadPoolExecutor(max_workers=_THREADS) as pool:
            store = pool.submit(self._open_store, store_image, login_key)
            if plan.delete:
                with self.reporter.phase("delete"):
                    self.orders.delete(plan.delete)
                    close_shared_connections(self.orders.identity.id)
            with self.reporter.phase("create"):
                if plan.start:  # they may come back with other addresses
                    close_shared_connections(self.orders.identity.id)
                self.orders.start(plan.start)
                patience = Patience(
                    self.spec,
                    patience_of(self.spec),
                    self.reporter,
                    self.guard,
                    self.orders.machines,
                    self.orders.provider,
                )
                for group, names in plan.create:
                    order = partial(
                        self.orders.create, group, names, image=images[group.name], login_key=login_key
                    )
                    self._reach(pool, patience.insist(order, names_of(names)))
            with self.reporter.phase("connect", "waiting for SSH"):
                machines = self._all_addressed(pool)
                errors = _errors(self._reaching)
                opened, store_error = _result(store)
        if store_error is not None:
            errors[STORE_HOST] = store_error
        self._close_intents(machines, errors)
        self.orders.keep_books(machines)
        machines = self._labelled(machines)
        self.state.save(Snapshot(tuple(machines), opened, complete=not errors))
        write_ssh_files(self.state, self.orders.identity.id)
        raise_first(errors.items(), reached=[m.name for m in machines if m.name not in errors])

    def _all_addressed(self, pool: ThreadPoolExecutor) -> list[Machine]:
        """Wait until every machine has an address, begin to reach it; return the machines."""
        longest = max(deadlines(self.spec, group.provider).boot for group in self.spec.groups)
        machines: list[Machine] = []

        def addressed() -> bool:
            nonlocal machines
            self.guard()
            machines = self.orders.machines()
            self._reach(pool, machines)
            missing = set(self.orders.created) - {machine.name for machine in machines}  # not visible yet
            return not missing and all(machine.ssh_address for machine in machines)

        # A look is dear with many machines; what was waited so far grows by a seventh from one to the next.
        if not until(addressed, deadline_s=longest, interval_s=1.0, growth=1.15, longest_s=10):
            wanted = {*self.orders.created, *(machine.name for machine in machines)}
            raise TimedOut(
                where=names_of(
                    sorted(wanted - {machine.name for machine in machines if machine.ssh_address})
                ),
                what=f"no address after {longest:g} s",
                seconds=longest,
                remedy="Run the same command again",
            )
        return machines

    def _reach(self, pool: ThreadPoolExecutor, machines: Sequence[Machine]) -> None:
        """Begin to reach the machines that have an address and are not being reached yet."""
        view = self.state.journal.read()
        bootstrap = self.orders.bootstrap_keys(view)
        connector = Connector(self.state, self.trust, self.guard)
        for machine in machines:
            if machine.ssh_address and machine.name not in self._reaching:
                provider = node_of(self.spec, machine).group.provider
                self._reaching[machine.name] = pool.submit(
                    connector.reach,
                    machine,
                    bootstrap.get(machine.token),
                    view,
                    deadline_s=deadlines(self.spec, provider).boot,
                )

    def _close_intents(self, machines: Sequence[Machine], errors: Mapping[str, MusterError]) -> None:
        """Close the create intents all of whose machines are trusted: their bootstrap keys are done with."""
        for token, intent in self.state.journal.read().intents.items():
            waiting = [m for m in machines if m.token == token and m.name in errors]
            if intent.verb == "create" and intent.done and not waiting:
                self.state.journal.close(token)

    def _labelled(self, machines: Sequence[Machine]) -> list[Machine]:
        """Let the machines say at their provider what `adopt` needs: own host keys, and the wished size."""
        view = self.state.journal.read()
        labels: dict[str, dict[str, str]] = {}
        for machine in machines:
            wanted = {"wish": str(view.wish)} if machine.group == MASTER and view.wish else {}
            if own := hostkey.to_label(view.pins.get(machine.provider_id, "")):
                wanted[HOST_KEY] = own
            if any(machine.labels.get(name) != value for name, value in wanted.items()):
                labels[machine.provider_id] = wanted
        if labels:
            try:
                self.orders.label_each(labels)
            except (NotReady, ProviderError) as error:
                self.reporter.say(f"labels could not be written, the next start_cluster.yml will: {error}")
        return [
            replace(machine, labels={**machine.labels, **labels.get(machine.provider_id, {})})
            for machine in machines
        ]

    def _open_store(self, image: str, login_key: str) -> Store | None:
        """Open the object store; when it is a machine of this computer, wait for it and return it."""
        self.guard()
        store = self.stores.open(
            self.spec, self.orders.identity, self.state, image=image, login_key=login_key
        )
        if store is None:
            return None
        connector = Connector(self.state, self.trust, self.guard)
        connector.reach_store(store.target, deadline_s=deadlines(self.spec, "local").boot)
        return store


def _errors(reaching: Mapping[str, Future[None]]) -> dict[str, MusterError]:
    """Wait for all; return what went wrong by machine. One failure does not stop the others."""
    errors: dict[str, MusterError] = {}
    for name, future in reaching.items():
        try:
            future.result()
        except MusterError as error:
            errors[name] = error
    return errors


def _result(future: Future[Store | None]) -> tuple[Store | None, MusterError | None]:
    try:
        return future.result(), None
    except MusterError as error:
        return None, error
