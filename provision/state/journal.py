"""Write-ahead log of a cluster: what is about to be ordered or deleted is on the disk before it is asked for.

One JSON object per line, the first one naming the format. Each record is flushed (file and folder) before the
call that it announces. A last line that a crash cut short is dropped; any other damage is an error.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from provision.core import files
from provision.core.errors import StateError
from provision.core.model import Term
from provision.core.spec import AS_IN_FILE, Scale

FORMAT = 1


@dataclass(frozen=True)
class Intent:
    """Something that was begun and not finished. `verb`: create, delete, stop or destroy."""

    token: str
    verb: str
    provider: str
    names: tuple[str, ...]
    digest: str
    done: bool
    """True when the provider has answered; then only trust is missing."""
    at: float = 0.0
    """When it was begun, in seconds since the epoch."""


@dataclass
class View:
    """What the records say, taken together."""

    cluster_id: str = ""
    wish: int | None = None
    scale: Scale = field(default_factory=Scale)
    intents: dict[str, Intent] = field(default_factory=dict)
    pins: dict[str, str] = field(default_factory=dict)
    """Provider id -> the machine's own host key, `ssh-ed25519 AAAA…`."""
    stores: set[str] = field(default_factory=set)
    """Object stores of this computer that the cluster has ever asked for."""
    providers: set[str] = field(default_factory=set)
    """Providers that the cluster has ever ordered from."""
    term: Term = field(default_factory=Term)
    """Until when the cluster lives, and what it has cost of its budget."""


class Journal:
    """The journal in `folder`. Reading never writes; the first record creates the file."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "journal.jsonl"
        self._requests = folder / "requests"
        self._lock = threading.Lock()  # machines are reached, and their keys recorded, in threads

    def exists(self) -> bool:
        """Return True when there is a journal."""
        return self.path.is_file()

    def read(self) -> View:
        """Return what the journal says. Raises StateError."""
        view = View()
        for record in self.records():
            _apply(view, record)
        return view

    def begin(self, cluster_id: str) -> None:
        """Start the journal of a new cluster."""
        self._append({"kind": "cluster", "id": cluster_id})

    def wish(self, nodes: int, scale: Scale = AS_IN_FILE) -> None:
        """Record the wished size (master + workers), and what machines shall have."""
        self._append(wish_record(nodes, scale))

    def open(
        self, verb: str, *, token: str, provider: str = "", names: tuple[str, ...] = (), request: str = ""
    ) -> None:
        """Record an intent; `request` is the exact rendered request, kept until the intent is closed."""
        if request:
            files.private_folder(self._requests)
            files.write(self._request_path(token), request)
        self._append(
            {
                "kind": "open",
                "token": token,
                "verb": verb,
                "provider": provider,
                "names": list(names),
                "digest": _digest(request),
            }
        )

    def done(self, token: str, machines: Mapping[str, str], bills: Sequence[Mapping[str, Any]] = ()) -> None:
        """Record the provider's answer to an intent: machine names -> provider ids, and what they cost."""
        self._append({"kind": "done", "token": token, "machines": dict(machines), "bills": list(bills)})

    def close(self, token: str) -> None:
        """Record that nothing is left to do for an intent, and forget its request."""
        self._append({"kind": "close", "token": token})
        self._request_path(token).unlink(missing_ok=True)

    def pin(self, provider_id: str, host_key: str) -> None:
        """Record a machine's own host key."""
        self._append({"kind": "pin", "machine": provider_id, "key": host_key})

    def bill(self, bills: Sequence[Mapping[str, Any]]) -> None:
        """Record what machines cost from some time on (`costs.Bill` as mappings)."""
        self._append({"kind": "bill", "bills": list(bills)})

    def ended(self, machines: Iterable[str]) -> None:
        """Record that machines (provider ids) are gone and cost nothing any more."""
        self._append({"kind": "ended", "machines": sorted(machines)})

    def rebuild(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Write a whole journal in one step, for a cluster whose first one was lost."""
        now = {"at": round(time.time(), 3)}
        lines = [_line({"format": FORMAT}), *(_line({**record, **now}) for record in records)]
        files.write(self.path, b"".join(lines).decode())

    def store(self, name: str) -> None:
        """Record that the cluster is about to use the object store `name`."""
        self._append({"kind": "store", "name": name})

    def term(self, term: Term) -> None:
        """Record until when the cluster lives (`since` is now)."""
        self._append(
            {
                "kind": "term",
                "deadline": term.deadline,
                "spent": term.spent,
                "hourly": term.hourly,
                "pending": term.pending,
            }
        )

    def armed(self) -> None:
        """Record that every machine knows the deadline."""
        self._append({"kind": "armed"})

    def request(self, intent: Intent) -> str:
        """Return the exact request of an open intent. Raises StateError when it is missing or altered."""
        path = self._request_path(intent.token)
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            text = ""
        if _digest(text) != intent.digest:
            raise StateError(
                where=str(path),
                what=f"the request of an unfinished {intent.verb} is missing or altered",
                remedy="Run destroy_cluster.yml, then start_cluster.yml",
            )
        return text

    def drop_stray_requests(self, view: View) -> None:
        """Remove requests whose intent was never recorded, or was closed just before a crash."""
        if self._requests.is_dir():
            for path in self._requests.iterdir():
                if path.stem not in view.intents:
                    path.unlink(missing_ok=True)

    def _request_path(self, token: str) -> Path:
        return self._requests / f"{token}.json"

    def records(self) -> list[dict[str, Any]]:
        """Return all records, oldest first. Raises StateError."""
        if not self.exists():
            return []
        records: list[dict[str, Any]] = []
        for number, line in enumerate(files.whole_lines(self.path), start=1):
            try:
                record = json.loads(line)
            except ValueError:
                record = None
            if not isinstance(record, dict):
                raise StateError(
                    where=f"{self.path}, line {number}",
                    what="the journal is damaged",
                    remedy="Restore it from a backup of the state folder",
                )
            records.append(record)
        if records and records[0].get("format") != FORMAT:
            raise StateError(
                where=str(self.path),
                what=f"the journal has format {records[0].get('format')!r}, this version reads {FORMAT}",
                remedy="Use the version of Muster that made the cluster",
            )
        return records[1:]

    def _append(self, record: dict[str, Any]) -> None:
        record["at"] = round(time.time(), 3)
        with self._lock:
            files.append_line(self.path, _line(record), first=_line({"format": FORMAT}))


def wish_record(nodes: int, scale: Scale) -> dict[str, Any]:
    """Return a wish as the journal keeps it."""
    return {"kind": "wish", "nodes": nodes, **vars(scale)}


def _line(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _apply(view: View, record: Mapping[str, Any]) -> None:
    kind, token = record.get("kind"), str(record.get("token", ""))
    if kind == "cluster":
        view.cluster_id = str(record["id"])
    elif kind == "wish":
        view.wish = int(record["nodes"])
        view.scale = Scale(record.get("cores"), record.get("memory_gb"), record.get("machines"))
    elif kind == "pin":
        view.pins[str(record["machine"])] = str(record["key"])
    elif kind == "term":
        view.term = Term(
            deadline=float(record["deadline"]),
            spent=float(record["spent"]),
            hourly=float(record["hourly"]),
            since=float(record["at"]),
            pending=str(record["pending"]),
        )
    elif kind == "armed":
        view.term = replace(view.term, pending="")
    elif kind == "bill":
        view.providers |= {str(bill["provider"]) for bill in record["bills"]} - {""}
    elif kind == "store":
        view.stores.add(str(record["name"]))
    elif kind == "open":
        view.providers |= {str(record["provider"])} - {""}
        view.intents[token] = Intent(
            token=token,
            verb=str(record["verb"]),
            provider=str(record["provider"]),
            names=tuple(record["names"]),
            digest=str(record["digest"]),
            done=False,
            at=float(record.get("at", 0.0)),
        )
    elif kind == "done" and token in view.intents:
        view.intents[token] = replace(view.intents[token], done=True)
    elif kind == "close":
        view.intents.pop(token, None)


def new_token() -> str:
    """Return a client token: 16 hex digits, so short because it may be part of a machine's name."""
    return secrets.token_hex(8)
