"""Ordering and deleting machines so that a crash at any moment neither loses nor doubles one.

Every call that changes something is announced in the journal first; an order that is left open is carried on
by the next run, a deletion decided anew. The provider's list is the truth about what exists.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from provision.cluster import deletion, firstboot
from provision.cluster.listing import Listing
from provision.cluster.run import Run
from provision.core.errors import NoCapacity, NotReady, OutcomeUnknown, ProviderError
from provision.core.model import ClusterIdentity, CreateRequest, Machine, NodeState, Outcome
from provision.core.names import DEADLINE_LABEL, EXPERIMENT, OWNER_LABEL
from provision.core.paths import owner_mark
from provision.core.spec import NodeGroup, Packages
from provision.core.wait import until
from provision.costs.books import Books
from provision.planning.nodes import node_of
from provision.providers.facts import deadlines, facts_of, is_shared
from provision.state.journal import Intent, Journal, View, new_token

LONGEST_CALL_S = 1800
"""Seconds that may lie between the record of a create call and the last order that it placed: some places are
tried one after the other, each of which may take minutes to answer."""


@dataclass
class Orders:
    """The journalled calls of one run, and what came of them."""

    run: Run
    created: list[str] = field(default_factory=list)
    started: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    reshaped: list[str] = field(default_factory=list)
    books: Books = field(init=False)
    listing: Listing = field(init=False)

    def __post_init__(self) -> None:
        run = self.run
        self.books = Books(run.spec, run.state.journal, run.provider)
        self.listing = Listing(run.spec, run.state.journal, run.identity, run.provider)

    @property
    def outcome(self) -> Outcome:
        """The machines that were created, started, deleted and reshaped, and what else was removed."""
        return Outcome(*map(tuple, (self.created, self.started, self.deleted, self.removed, self.reshaped)))

    @property
    def _journal(self) -> Journal:
        return self.run.state.journal

    def machines(self) -> list[Machine]:
        """Return every machine of the cluster that exists. Raises ProviderError."""
        return self.listing.machines()

    def own_machines(self) -> list[Machine]:
        """Return those that Muster made and that stay: the user's own hosts neither stop nor end."""
        return [
            machine
            for machine in self.machines()
            if machine.state is not NodeState.DELETING
            and not is_shared(node_of(self.run.spec, machine).group.provider)
        ]

    def keep_books(self, machines: Sequence[Machine]) -> None:
        """Make the accounts follow the machines that were just listed."""
        self.books.settle(machines, self.listing.provider_of)

    def label_each(self, machines: Iterable[Machine], labels: Mapping[str, Mapping[str, str]]) -> None:
        """Write the labels (by provider id) that some of these machines get. Raises ProviderError."""
        named = [machine for machine in machines if machine.provider_id in labels]
        for name, group in self.listing.by_provider(named).items():
            self.run.guard()
            own = {machine.provider_id: labels[machine.provider_id] for machine in group}
            self.run.provider(name).label(self.run.identity, own)

    def replay(self) -> None:
        """Carry on what an earlier run began. Raises ProviderError."""
        view = self._journal.read()
        self._journal.drop_stray_requests(view)
        for intent in view.intents.values():
            if intent.verb == "create" and not intent.done:
                self._create_again(intent)
            elif intent.verb == "create":
                self._settle(intent)
            elif intent.verb == "delete":  # the plan decides anew: what is left may have come to use again
                self._journal.close(intent.token)

    def create(self, group: NodeGroup, names: Sequence[str], *, image: str, login_key: str) -> list[Machine]:
        """Order machines of one group.

        Raises:
            NoCapacity: there is no room; nothing was made and nothing is open.
            ProviderError: the order is still open in the journal.
        """
        from provision.ssh.keys import new_bootstrap_key  # slow to import, as it needs cryptography

        bootstrap = new_bootstrap_key()
        deadline = self._journal.read().term.deadline
        admitted = self.run.state.admitted()
        request = CreateRequest(
            cluster=self.run.identity,
            group=group,
            names=tuple(names),
            token=new_token(),
            user_data=firstboot.user_data(
                login_key=login_key,
                bootstrap=bootstrap,
                deadline=deadline,
                shared=is_shared(group.provider),
                ssh_from=facts_of(group.provider).ssh_from(self.run.spec, admitted),
            ),
            image=image,
            labels={
                **group.shape_labels,
                "data_disk_gb": str(group.data_disk_gb),
                OWNER_LABEL: owner_mark(self.run.state.parent),
                **({DEADLINE_LABEL: str(int(deadline))} if deadline else {}),
                **self.books.labels(group),
            },
            ssh_from=(*self.run.spec.allow_from, *admitted),
        )
        self._journal.open(
            "create",
            token=request.token,
            provider=group.provider,
            names=request.names,
            request=_to_text(request, bootstrap.public),
        )
        try:
            return self._carry_out(request)
        except NoCapacity:
            self._journal.close(request.token)
            raise

    def start(self, machines: Iterable[Machine]) -> None:
        """Start stopped machines. Raises ProviderError."""
        for name, group in self.listing.by_provider(machines).items():
            self.run.guard()
            self.run.provider(name).start(self.run.identity, group)
            self.started += [machine.name for machine in group]

    def stop(self, machines: Iterable[Machine]) -> None:
        """Power machines off; their disks stay. Raises ProviderError."""
        for name, group in self.listing.by_provider(machines).items():
            self.run.guard()
            self.run.provider(name).stop(self.run.identity, group)

    def reshape(self, wanted: Iterable[tuple[NodeGroup, Sequence[Machine]]]) -> None:
        """Give machines their group's cores and memory: all off, changed, all on again. Raises ProviderError.

        Killed on the way, they are off; the next plan goes on with what each of them still needs.
        """
        pairs = list(wanted)
        machines = [machine for _, members in pairs for machine in members]
        self.stop(machine for machine in machines if machine.state is not NodeState.STOPPED)
        for group, members in pairs:
            self.run.guard()
            self.run.provider(group.provider).reshape(self.run.identity, group, members)
        self.reshaped += [machine.name for machine in machines]
        self.start(machines)

    def label(self, machines: Iterable[Machine], labels: Mapping[str, str]) -> None:
        """Give all these machines the labels. Raises ProviderError."""
        found = list(machines)
        self.label_each(found, {machine.provider_id: labels for machine in found})

    def at_poweroff(self, machines: Iterable[Machine], *, delete: bool) -> None:
        """Let machines be deleted when they power themselves off, or stay. Raises ProviderError.

        Those for experiments are always deleted: they do so when they have nothing to do.
        """
        ending: dict[bool, list[Machine]] = {True: [], False: []}
        for machine in machines:
            ending[delete or machine.group == EXPERIMENT].append(machine)
        for ends, some in ending.items():
            for name, group in self.listing.by_provider(some).items():
                if facts_of(name).poweroff_deletes:
                    self.run.guard()
                    self.run.provider(name).at_poweroff(self.run.identity, group, delete=ends)

    def delete(self, machines: Iterable[Machine]) -> None:
        """Delete machines and confirm that they are gone. Raises ProviderError."""
        for name, group in self.listing.by_provider(machines).items():
            token = new_token()
            names = tuple(machine.name for machine in group)
            self._journal.open("delete", token=token, provider=name, names=names)
            self._delete_at(name, group)
            self._journal.close(token)

    def delete_all(self) -> None:
        """Delete every machine of the cluster and confirm that none is left. Raises ProviderError."""
        for intent in self._journal.read().intents.values():
            if intent.verb == "create":
                self._settle(intent)
        self._delete_here(self.machines())
        while machines := self.machines():  # made by a call without an answer, and listed only now
            self._delete_here(machines)

    def _delete_here(self, machines: Sequence[Machine]) -> None:
        """Delete these machines, and at each provider what a deletion before has left over."""
        self.keep_books(machines)
        there = self.listing.by_provider(machines)
        for name in self.listing.providers():
            mine = there.get(name, [])
            self._delete_at(name, mine)
            if mine:
                self._journal.ended(machine.provider_id for machine in mine)

    def bootstrap_keys(self, view: View) -> Mapping[str, str]:
        """Return the bootstrap host keys that may still be needed: create token -> `TYPE BASE64`."""
        return {
            token: str(json.loads(self._journal.request(intent))["bootstrap"])
            for token, intent in view.intents.items()
            if intent.verb == "create"
        }

    def _create_again(self, intent: Intent) -> None:
        """Repeat a create call whose outcome is not known, with the same bytes and the same token."""
        request = _from_text(self._journal.request(intent))
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
                self._journal.close(intent.token)
        self.created = [name for name in self.created if name not in before]

    def _settle(self, intent: Intent) -> None:
        """Wait until all that a create call has made, or may have made, is visible, or must be by now."""
        settle_s = deadlines(self.run.spec, intent.provider).settle
        left_s = min(settle_s, intent.at + LONGEST_CALL_S + settle_s - time.time())

        def visible() -> bool:
            self.run.guard()
            there = {machine.name for machine in self.machines() if machine.token == intent.token}
            return there.issuperset(intent.names)

        if left_s > 0:
            until(visible, deadline_s=left_s, interval_s=2.0)

    def _carry_out(self, request: CreateRequest) -> list[Machine]:
        self.run.guard()
        machines = self.run.provider(request.group.provider).create(request)
        self._done(request, machines)
        self.created += [machine.name for machine in machines]
        return machines

    def _done(self, request: CreateRequest, machines: Sequence[Machine]) -> None:
        ids = {machine.name: machine.provider_id for machine in machines}
        self._journal.done(request.token, ids, self.books.bills(request.group, machines))

    def _delete_at(self, name: str, machines: Sequence[Machine]) -> None:
        """See `deletion.delete`."""
        self.run.guard()
        self.removed += deletion.delete(
            self.run.provider(name),
            self.run.identity,
            machines,
            gone_s=deadlines(self.run.spec, name).gone,
            again="Run the same command again",
        )
        names = [machine.name for machine in machines]
        self.deleted += names
        self.created = [name for name in self.created if name not in names]  # by the repeated order before


def _to_text(request: CreateRequest, bootstrap: str) -> str:
    data = asdict(request)
    data["group"]["settings"] = request.group.settings.as_json()
    return json.dumps({"request": data, "bootstrap": bootstrap}, sort_keys=True)


def _from_text(text: str) -> CreateRequest:
    data = json.loads(text)["request"]
    group = data["group"]
    packages = Packages(apt=tuple(group["packages"]["apt"]), pip=tuple(group["packages"]["pip"]))
    settings = facts_of(group["provider"]).settings.from_json(group["settings"])
    return CreateRequest(
        **{
            **data,
            "cluster": ClusterIdentity(**data["cluster"]),
            "group": NodeGroup(**{**group, "packages": packages, "settings": settings}),
            "names": tuple(data["names"]),
            "ssh_from": tuple(data.get("ssh_from", ())),
        }
    )
