"""What destroyed clusters have cost: one line each in a file that outlives their state folders."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from provision.core import files
from provision.core.errors import StateError
from provision.costs.accounts import Account, Tally

FILE = "ledger.jsonl"
FORMAT = 1


@dataclass(frozen=True)
class Entry:
    """A cluster that is gone. Times are seconds since the epoch."""

    cluster: str
    id: str
    began: float
    ended: float
    providers: tuple[str, ...]
    tally: Tally


def entry(cluster: str, id: str, accounts: dict[str, Account], now: float) -> Entry | None:
    """Return what is to be remembered of a cluster; None when nobody was ever paid for it."""
    total = sum((account.tally(now) for account in accounts.values()), Tally())
    if not accounts or not (total.dollars or total.unknown_hours):
        return None
    return Entry(
        cluster=cluster,
        id=id,
        began=min(account.bills[0].since for account in accounts.values()),
        ended=max(account.ended or now for account in accounts.values()),
        providers=tuple(sorted({account.last.provider for account in accounts.values()})),
        tally=total,
    )


def append(folder: Path, found: Entry) -> None:
    """Write an entry down, flushed; the same cluster once more is harmless: the last entry counts."""
    line = json.dumps({"format": FORMAT, **asdict(found)}, sort_keys=True).encode() + b"\n"
    files.append_line(folder / FILE, line)


def read(folder: Path) -> list[Entry]:
    """Return what is known of clusters that are gone, oldest first. Raises StateError."""
    path = folder / FILE
    if not path.is_file():
        return []
    found: dict[str, Entry] = {}
    for number, line in enumerate(files.whole_lines(path), start=1):
        try:
            known = json.loads(line)
            if known.pop("format") != FORMAT:
                raise ValueError("another format")
            tally = Tally(**known.pop("tally"))
            found[known["id"]] = Entry(**{**known, "providers": tuple(known["providers"])}, tally=tally)
        except (ValueError, KeyError, TypeError) as error:
            raise StateError(
                where=f"{path}, line {number}",
                what="this line cannot be read",
                remedy="Remove it; what its cluster has cost is then forgotten",
            ) from error
    return list(found.values())
