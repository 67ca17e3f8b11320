"""From where SSH may reach a cluster's machines: asked before any is made, changed while they run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from provision.cluster.run import Run
from provision.core.model import Machine, NodeState, Plan
from provision.core.networks import is_private, network, wide
from provision.core.spec import ClusterSpec
from provision.planning import far
from provision.providers.address import own_address
from provision.providers.facts import facts_in, facts_of
from provision.ssh import firewall


@dataclass(frozen=True)
class Change:
    """Networks from which SSH reaches the machines now and did not before, and the other way round."""

    added: tuple[str, ...] = ()
    withdrawn: tuple[str, ...] = ()


def find_out(spec: ClusterSpec, plan: Plan, say: Callable[[str], None]) -> list[str]:
    """Return this computer's address where a plan's machines are to let it in and nobody was named.

    Args:
        spec: the config.
        plan: what is about to be made.
        say: told what is worth knowing before it is made.

    Raises:
        NotReady: the address cannot be found out.
    """
    makers = {group.provider for group, _ in plan.create}
    if makers:
        for line in warnings(spec):
            say(line)
    services = [facts_of(name).address_service(spec) for name in sorted(makers)]
    return [] if spec.allow_from else list(_own(services, say))


def warnings(spec: ClusterSpec) -> list[str]:
    """Return what is open wider than anybody should want, one line each."""
    if not any(facts.address_service(spec) for facts in facts_in(spec)):
        return []
    return [
        f"allow_from: {text} lets a good part of the internet try to log in; name your own network instead"
        for text in wide(spec.allow_from)
    ]


def allow(run: Run, given: Sequence[str], *, only: bool) -> Change:
    """Let networks reach SSH of the cluster's machines; again is harmless.

    Args:
        run: this verb's.
        given: the networks; none = this computer, as the internet sees it.
        only: nobody else any more, but for the config's `allow_from`.

    Raises:
        NotReady: this computer's address cannot be found out; nothing was changed.
        Unreachable: machines could not be told.
        ProviderError: the same call again goes on.
    """
    spec, state, there = run.spec, run.state, facts_in(run.spec)
    networks = list(given) or list(_own([facts.address_service(spec) for facts in there], run.reporter.say))
    before = {facts.name: facts.ssh_from(spec, state.admitted()) for facts in there}
    kept = state.master_admitted()
    state.admit(networks, only=only)
    added: dict[str, None] = {}
    withdrawn: dict[str, None] = {}
    for facts in there:
        provider = run.provider(facts.name)
        more, less = provider.allow(run.identity, [*spec.allow_from, *state.admitted()], only=only, keep=kept)
        if now := facts.ssh_from(spec, state.admitted()):
            running = [m for m in provider.list(run.identity) if m.state is NodeState.RUNNING]
            away = {group.name for group in far.far_groups(spec)}
            _tell(run, [m.name for m in running if m.group not in away], now)
            _tell(run, [m.name for m in running if m.group in away], [*now, *kept])
            more += [one for one in now if one not in before[facts.name]]
            less += [one for one in before[facts.name] if one not in now]
        added |= dict.fromkeys(more)
        withdrawn |= dict.fromkeys(less)
    return Change(tuple(added), tuple(withdrawn))


def admit_master(run: Run, machines: Sequence[Machine]) -> None:
    """Let the master through the firewalls that other providers have outside of machines; again is harmless.

    An address that it had before is let in no more. Raises ProviderError, NotReady; the same call goes on.
    """
    spec, state = run.spec, run.state
    there = {machine.group for machine in machines}
    groups = [group for group in far.far_groups(spec) if group.name in there]
    now = far.openings(spec, machines) if groups else ()
    before = state.master_admitted()
    if not (now or before):
        return
    users = {*spec.allow_from, *state.admitted()}
    state.admit_master(dict.fromkeys((*before, *now)))
    for name in sorted({group.provider for group in groups}):
        run.guard()
        run.provider(name).admit_master(
            run.identity,
            [group for group in groups if group.provider == name],
            now,
            [one for one in before if one not in now and one not in users],
        )
    state.admit_master(now)


def _own(services: Sequence[str], say: Callable[[str], None]) -> Iterator[str]:
    """Yield this computer's address as the first of the services ('' = none is needed) tells it."""
    service = next(filter(None, services), "")
    if service:
        address = own_address(service)
        if is_private(address):
            say(
                f"this computer's address is {address} as {service} tells it, which is private: "
                "machines elsewhere see another one; if they cannot be reached, set allow_from"
            )
        yield network(address)


def _tell(run: Run, names: Sequence[str], networks: Sequence[str]) -> None:
    run.tell(
        names,
        firewall.command(networks),
        what="they could not be told who may log in",
        remedy="Run the same command again, from an address that they let in",
    )
