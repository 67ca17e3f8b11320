"""What every cluster has cost so far."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from provision.costs import ledger
from provision.costs.accounts import Account, Tally, read_accounts
from provision.providers import CLASSES
from provision.providers.facts import facts_of
from provision.state.folder import known_clusters
from provision.state.journal import Journal


@dataclass(frozen=True)
class Cost:
    """What a cluster has cost so far. `ended`: None while its state is here; `hourly`: what it costs now."""

    cluster: str
    id: str
    began: float | None
    ended: float | None
    providers: tuple[str, ...]
    tally: Tally
    hourly: float | None


def spent(states: Path, now: float) -> list[Cost]:
    """Return what every cluster has cost whose state is here, and every paid one that is gone.

    Raises:
        StateError: a journal or the ledger is damaged.
    """
    gone = [
        Cost(entry.cluster, entry.id, entry.began, entry.ended, entry.providers, entry.tally, 0.0)
        for entry in ledger.read(states)
    ]
    living = {id for _, id in known_clusters(states)}
    found = [cost for cost in gone if cost.id not in living]
    for name, id in known_clusters(states):
        accounts = _free_priced(read_accounts(Journal(states / name).records()))
        alive = [account.last for account in accounts.values() if account.ended is None]
        known = [bill.hourly for bill in alive if bill.hourly is not None]
        found.append(
            Cost(
                cluster=name,
                id=id,
                began=min((account.bills[0].since for account in accounts.values()), default=None),
                ended=None,
                providers=tuple(sorted({account.last.provider for account in accounts.values()})),
                tally=sum((account.tally(now) for account in accounts.values()), Tally()),
                hourly=sum(known) if len(known) == len(alive) else None,
            )
        )
    return sorted(found, key=lambda cost: (cost.began or now, cost.cluster))


def _free_priced(accounts: dict[str, Account]) -> dict[str, Account]:
    """Return the accounts, where old records without a price belong to a provider that nobody is paid at."""
    for account in accounts.values():
        if account.last.provider in CLASSES and not facts_of(account.last.provider).paid:
            account.bills = [
                replace(bill, hourly=0.0) if bill.hourly is None else bill for bill in account.bills
            ]
    return accounts
