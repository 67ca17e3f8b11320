"""Carrying out a plan: delete, start, create, and reach machines while the next ones are still being made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial

from provision.cluster import sources
from provision.cluster.capacity import retry_until_capacity
from provision.cluster.orders import Orders
from provision.cluster.run import Run
from provision.core.errors import MusterError, NotReady, ProviderError, TimedOut, raise_first
from provision.core.model import Machine, Plan
from provision.core.names import MASTER, STORE_HOST
from provision.core.spec import NodeGroup
from provision.core.text import names_of
from provision.core.wait import until
from provision.planning.nodes import node_of, wish_labels
from provision.planning.plan import describe
from provision.providers.facts import deadlines, facts_of
from provision.providers.local.stores import MACHINE as STORE_MACHINE
from provision.ssh import hostkey
from provision.ssh.files import ssh_config
from provision.ssh.hostkey import LABEL as HOST_KEY
from provision.state.folder import SECRETS, Snapshot, Store

_THREADS = 64
QUEUE_KEY = "muster-queue"
"""Comment of the key with which the queue on the master has runs on other machines; it opens nothing else."""


def carry_out(run: Run, orders: Orders, plan: Plan, *, images: Mapping[str, str], store_image: str) -> None:
    """Carry out a plan.

    Args:
        run: this verb's.
        orders: its calls.
        plan: one that refuses nothing.
        images: image key by group.
        store_image: image key of the object store's machine.

    Raises:
        MusterError: the journal has what was done; machines that cannot be reached stop no others.
    """
    from provision.ssh.keys import ensure_login_key  # slow to import, as it needs cryptography

    for line in describe(plan):
        run.reporter.say(line)
    login_key = ensure_login_key(run.state.key_file, f"muster-{run.spec.name}")
    for name in SECRETS:
        run.state.secret(name)
    ensure_login_key(run.state.secrets / "queue", QUEUE_KEY)
    with ThreadPoolExecutor(max_workers=_THREADS) as pool:
        store = pool.submit(_open_store, run, store_image, login_key)
        reaching = _Reaching(run, orders, pool)
        if plan.delete:
            with run.reporter.phase("delete"):
                orders.delete(plan.delete)
                run.reach.close_shared(run.state)
        if plan.reshape:
            with run.reporter.phase("reshape"):
                run.reach.close_shared(run.state)
                orders.reshape(plan.reshape)
        with run.reporter.phase("create"):
            if plan.start:  # they may come back with other addresses
                run.reach.close_shared(run.state)
            orders.start(machine for machine in plan.start if machine.name not in orders.reshaped)
            for group, names in _calls(plan):
                order = partial(orders.create, group, names, image=images[group.name], login_key=login_key)
                reaching.begin(retry_until_capacity(run, order, names_of(names), orders.machines))
        with run.reporter.phase("connect", "waiting for SSH"):
            machines = reaching.all_addressed()
            errors = reaching.errors()
            opened, store_error = _result(store)
    if store_error is not None:
        errors[STORE_HOST] = store_error
    _close_intents(run, machines, errors)
    orders.keep_books(machines)
    machines = _labelled(run, orders, machines)
    run.state.save(Snapshot(tuple(machines), opened, complete=not errors))
    ssh_config(run.state)
    sources.admit_master(run, machines)
    raise_first(errors.items(), reached=[m.name for m in machines if m.name not in errors])


def _calls(plan: Plan) -> Iterator[tuple[NodeGroup, Sequence[str]]]:
    """Yield what each create call makes: a group, or as much of it as its provider takes at once."""
    for group, names in plan.create:
        most = facts_of(group.provider).at_once or len(names)
        for start in range(0, len(names), most):
            yield group, names[start : start + most]


@dataclass
class _Reaching:
    """The machines that are being reached, each in a thread of its own."""

    run: Run
    orders: Orders
    pool: ThreadPoolExecutor
    begun: dict[str, Future[None]] = field(default_factory=dict)

    def begin(self, machines: Sequence[Machine]) -> None:
        """Begin to reach the machines that have an address and are not being reached yet."""
        run = self.run
        view = run.state.journal.read()
        bootstrap = self.orders.bootstrap_keys(view)
        for machine in machines:
            if machine.ssh_address and machine.name not in self.begun:
                provider = node_of(run.spec, machine).group.provider
                self.begun[machine.name] = self.pool.submit(
                    run.reach.reach,
                    run.state,
                    machine,
                    bootstrap.get(machine.token),
                    view,
                    deadline_s=deadlines(run.spec, provider).boot,
                    stop=run.guard,
                )

    def all_addressed(self) -> list[Machine]:
        """Wait until every machine has an address, begin to reach it; return the machines."""
        longest = max(deadlines(self.run.spec, group.provider).boot for group in self.run.spec.groups)
        machines: list[Machine] = []

        def addressed() -> bool:
            nonlocal machines
            self.run.guard()
            machines = self.orders.machines()
            self.begin(machines)
            missing = set(self.orders.created) - {machine.name for machine in machines}  # not visible yet
            return not missing and all(machine.ssh_address for machine in machines)

        # A look is dear with many machines; what was waited so far grows by a seventh from one to the next.
        if not until(addressed, deadline_s=longest, interval_s=1.0, growth=1.15, longest_s=10):
            wanted = {*self.orders.created, *(machine.name for machine in machines)}
            there = {machine.name for machine in machines if machine.ssh_address}
            raise TimedOut(
                where=names_of(sorted(wanted - there)),
                what=f"no address after {longest:g} s",
                seconds=longest,
                remedy="Run the same command again",
            )
        return machines

    def errors(self) -> dict[str, MusterError]:
        """Wait for all; return what went wrong by machine. One failure does not stop the others."""
        errors: dict[str, MusterError] = {}
        for name, future in self.begun.items():
            try:
                future.result()
            except MusterError as error:
                errors[name] = error
        return errors


def _close_intents(run: Run, machines: Sequence[Machine], errors: Mapping[str, MusterError]) -> None:
    """Close the create intents all of whose machines are trusted: their bootstrap keys are done with."""
    for token, intent in run.state.journal.read().intents.items():
        waiting = [m for m in machines if m.token == token and m.name in errors]
        if intent.verb == "create" and intent.done and not waiting:
            run.state.journal.close(token)


def _labelled(run: Run, orders: Orders, machines: Sequence[Machine]) -> list[Machine]:
    """Let the machines say at their provider what `adopt` needs: own host keys, and the wished size."""
    view = run.state.journal.read()
    labels: dict[str, dict[str, str]] = {}
    for machine in machines:
        wanted = wish_labels(view.wish, view.scale) if machine.group == MASTER and view.wish else {}
        if own := hostkey.to_label(view.pins.get(machine.provider_id, "")):
            wanted[HOST_KEY] = own
        if any(machine.labels.get(name) != value for name, value in wanted.items()):
            labels[machine.provider_id] = wanted
    try:
        orders.label_each(machines, labels)
    except (NotReady, ProviderError) as error:
        run.reporter.say(f"labels could not be written, the next start_cluster.yml will: {error}")
    return [
        replace(machine, labels={**machine.labels, **labels.get(machine.provider_id, {})})
        for machine in machines
    ]


def _open_store(run: Run, image: str, login_key: str) -> Store | None:
    """Open the object store; when it is a machine of this computer, wait for it and return it."""
    run.guard()
    store = run.stores.open(run.spec, run.identity, run.state, image=image, login_key=login_key)
    if store is not None:  # its provider has told its host key
        run.reach.check(
            store.target,
            run.state.key_file,
            deadline_s=deadlines(run.spec, STORE_MACHINE.provider).boot,
            unfinished=False,
            stop=run.guard,
        )
    return store


def _result(future: Future[Store | None]) -> tuple[Store | None, MusterError | None]:
    try:
        return future.result(), None
    except MusterError as error:
        return None, error
