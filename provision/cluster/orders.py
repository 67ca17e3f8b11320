"""Ordering and deleting machines so that a crash at any moment neither loses nor doubles one.

Every call that changes something is announced in the journal first; what is left open is carried on by the
next run. The provider's list is the truth about what exists.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from provision.cluster import deletion, firstboot
from provision.core.errors import NoCapacity, NotReady, OutcomeUnknown, ProviderError
from provision.core.model import (
    ClusterIdentity,
    ClusterSpec,
    CreateRequest,
    Machine,
    NodeGroup,
    NodeState,
    Packages,
)
from provision.core.names import DEADLINE_LABEL, OWNER_LABEL
from provision.core.paths import owner_mark
from provision.core.wait import until
from provision.costs.books import Books
from provision.planning import fit
from provision.providers import SHARED
from provision.providers.base import Provider
from provision.providers.facts import deadlines
from provision.ssh import keys
from provision.state import journal
from provision.state.folder import State
from provision.state.journal import Intent, View

LONGEST_CALL_S = 600
"""Seconds that may lie between the record of a create call and the last order that it placed."""


@dataclass
class Orders:
    """The journalled calls of one run. `guard` raises when this process must not call a provider any more."""

    spec: ClusterSpec
    state: State
    identity: ClusterIdentity
    provider: Callable[[str], Provider]
    guard: Callable[[], None]
    created: list[str] = field(default_factory=list)
    started: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    books: Books = field(init=False)
    _at: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.books = Books(self.spec, self.state.journal, self.provider)

    def keep_books(self, machines: Sequence[Machine]) -> None:
        """Make the accounts follow the machines that were just listed."""
        self.books.settle(machines, lambda machine: self._at[machine.provider_id])

    def label_each(self, labels: Mapping[str, Mapping[str, str]]) -> None:
        """Write labels of machines (by provider id). Raises ProviderError."""
        by_provider: dict[str, dict[str, Mapping[str, str]]] = {}
        for provider_id, more in labels.items():
            by_provider.setdefault(self._at[provider_id], {})[provider_id] = more
        for name, own in by_provider.items():
            self.guard()
            self.provider(name).label(self.identity, own)

    def machines(self) -> list[Machine]:
        """Return every machine of the cluster that exists, at all providers that it ever used."""
        found: list[Machine] = []
        for name in self._providers():
            machines = self.provider(name).list(self.identity)
            self._at |= {machine.provider_id: name for machine in machines}
            found += machines
        return [machine for machine in found if machine.state is not NodeState.GONE]

    def unlike(self, machines: Iterable[Machine]) -> tuple[str, ...]:
        """Return why machines that were listed do not fit the config any more; () when they do."""
        return fit.refusals(
            self.spec,
            machines,
            lambda machine: self._at[machine.provider_id],
            lambda group, machine: self.provider(group.provider).unlike(group, machine),
        )

    def replay(self) -> None:
        """Carry on what an earlier run began. Raises ProviderError."""
        view = self.state.journal.read()
        self.state.journal.drop_stray_requests(view)
        for intent in view.intents.values():
            if intent.verb == "create" and not intent.done:
                self._create_again(intent)
            elif intent.verb == "create":
                self._settle(intent)
            elif intent.verb == "delete":
                left = [machine for machine in self.machines() if machine.name in intent.names]
                self._delete_at(intent.provider, left)
                self.state.journal.close(intent.token)

    def create(self, group: NodeGroup, names: Sequence[str], *, image: str, login_key: str) -> list[Machine]:
        """Order machines of one group.

        Raises:
            NoCapacity: there is no room; nothing was made and nothing is open.
            ProviderError: the order is still open in the journal.
        """
        bootstrap = keys.new_bootstrap_key()
        deadline = self.state.journal.read().term.deadline
        request = CreateRequest(
            cluster=self.identity,
            group=group,
            names=tuple(names),
            token=journal.new_token(),
            user_data=firstboot.user_data(
                login_key=login_key,
                bootstrap=bootstrap,
                deadline=deadline,
                shared=group.provider in SHARED,
            ),
            image=image,
            labels={
                "cores": str(group.cores),
                "memory_gb": f"{group.memory_gb:g}",
                "data_disk_gb": str(group.data_disk_gb),
                OWNER_LABEL: owner_mark(self.state.parent),
                **({DEADLINE_LABEL: str(int(deadline))} if deadline else {}),
                **self.books.labels(group),
            },
        )
        self.state.journal.open(
            "create",
            token=request.token,
            provider=group.provider,
            names=request.names,
            request=_to_text(request, bootstrap.public),
        )
        try:
            return self._carry_out(request)
        except NoCapacity:
            self.state.journal.close(request.token)
            raise

    def start(self, machines: Iterable[Machine]) -> None:
        """Start stopped machines. Raises ProviderError."""
        for name, group in self._by_provider(machines).items():
            self.guard()
            self.provider(name).start(self.identity, group)
            self.started += [machine.name for machine in group]

    def stop(self, machines: Iterable[Machine]) -> None:
        """Power machines off; their disks stay. Raises ProviderError."""
        for name, group in self._by_provider(machines).items():
            self.guard()
            self.provider(name).stop(self.identity, group)

    def label(self, machines: Iterable[Machine], labels: Mapping[str, str]) -> None:
        """Give all these machines the labels. Raises ProviderError."""
        for name, group in self._by_provider(machines).items():
            self.guard()
            self.provider(name).label(self.identity, {machine.provider_id: labels for machine in group})

    def delete(self, machines: Iterable[Machine]) -> None:
        """Delete machines and confirm that they are gone. Raises ProviderError."""
        for name, group in self._by_provider(machines).items():
            token = journal.new_token()
            names = tuple(machine.name for machine in group)
            self.state.journal.open("delete", token=token, provider=name, names=names)
            self._delete_at(name, group)
            self.state.journal.close(token)

    def delete_all(self) -> None:
        """Delete every machine of the cluster and confirm that none is left. Raises ProviderError."""
        for intent in self.state.journal.read().intents.values():
            if intent.verb == "create":
                self._settle(intent)
        self._delete_here(self.machines())
        while machines := self.machines():  # made by a call without an answer, and listed only now
            self._delete_here(machines)

    def _delete_here(self, machines: Sequence[Machine]) -> None:
        """Delete these machines, and at each provider what a deletion before has left over."""
        self.keep_books(machines)
        there = self._by_provider(machines)
        for name in self._providers():
            mine = there.get(name, [])
            self._delete_at(name, mine)
            if mine:
                self.state.journal.ended(machine.provider_id for machine in mine)

    def bootstrap_keys(self, view: View) -> Mapping[str, str]:
        """Return the bootstrap host keys that may still be needed: create token -> `TYPE BASE64`."""
        return {
            token: str(json.loads(self.state.journal.request(intent))["bootstrap"])
            for token, intent in view.intents.items()
            if intent.verb == "create"
        }

    def _create_again(self, intent: Intent) -> None:
        """Repeat a create call whose outcome is not known, with the same bytes and the same token."""
        request = _from_text(self.state.journal.request(intent))
        self._settle(intent)
        before = {machine.name for machine in self.machines() if machine.token == intent.token}
        try:
            self._carry_out(request)
            self._settle(intent)  # the plan that follows must see what was just made
        except OutcomeUnknown:
            raise
        except (NotReady, ProviderError):
            there = [machine for machine in self.machines() if machine.token == intent.token]
            if there:
                self._done(request, there)
            else:  # refused, and nothing came of it: the plan decides anew
                self.state.journal.close(intent.token)
        self.created = [name for name in self.created if name not in before]

    def _settle(self, intent: Intent) -> None:
        """Wait until all that a create call has made, or may have made, is visible, or must be by now."""
        settle_s = deadlines(self.spec, intent.provider).settle
        left_s = min(settle_s, intent.at + LONGEST_CALL_S + settle_s - time.time())

        def visible() -> bool:
            self.guard()
            there = {machine.name for machine in self.machines() if machine.token == intent.token}
            return there.issuperset(intent.names)

        if left_s > 0:
            until(visible, deadline_s=left_s, interval_s=2.0)

    def _carry_out(self, request: CreateRequest) -> list[Machine]:
        self.guard()
        machines = self.provider(request.group.provider).create(request)
        self._done(request, machines)
        self.created += [machine.name for machine in machines]
        return machines

    def _done(self, request: CreateRequest, machines: Sequence[Machine]) -> None:
        ids = {machine.name: machine.provider_id for machine in machines}
        self.state.journal.done(request.token, ids, self.books.bills(request.group, machines))

    def _providers(self) -> Sequence[str]:
        return sorted({group.provider for group in self.spec.groups} | self.state.journal.read().providers)

    def _delete_at(self, name: str, machines: Sequence[Machine]) -> None:
        """See `deletion.delete`."""
        self.guard()
        gone_s = deadlines(self.spec, name).gone
        deletion.delete(
            self.provider(name), self.identity, machines, gone_s=gone_s, again="Run the same command again"
        )
        names = [machine.name for machine in machines]
        self.deleted += names
        self.created = [name for name in self.created if name not in names]  # by the repeated order before

    def _by_provider(self, machines: Iterable[Machine]) -> dict[str, list[Machine]]:
        found: dict[str, list[Machine]] = {}
        for machine in machines:
            found.setdefault(self._at[machine.provider_id], []).append(machine)
        return found


def _to_text(request: CreateRequest, bootstrap: str) -> str:
    return json.dumps({"request": asdict(request), "bootstrap": bootstrap}, sort_keys=True)


def _from_text(text: str) -> CreateRequest:
    data = json.loads(text)["request"]
    group = data["group"]
    packages = Packages(apt=tuple(group["packages"]["apt"]), pip=tuple(group["packages"]["pip"]))
    return CreateRequest(
        **{
            **data,
            "cluster": ClusterIdentity(**data["cluster"]),
            "group": NodeGroup(**{**group, "packages": packages}),
            "names": tuple(data["names"]),
        }
    )
