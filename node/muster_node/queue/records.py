"""What is known about runs: one folder per run, one JSON file in it, written atomically."""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import re
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from secrets import token_hex
from typing import Any

from muster_node import files
from muster_node.queue import layout, progress, provenance

ROOT = Path(os.environ.get("MUSTER_JOBS_ROOT", "/var/lib/muster"))
SETTINGS = Path(os.environ.get("MUSTER_JOBS_SETTINGS", "/etc/muster/jobs.json"))
RUN_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,60}-[0-9]{8}-[0-9]{6}-[0-9a-f]{4}")
QUEUED, RUNNING, SUCCEEDED, FAILED, CANCELLED = "queued", "running", "succeeded", "failed", "cancelled"
FINAL = frozenset((SUCCEEDED, FAILED, CANCELLED))
LARGEST_BYTES = 4 << 20
"""Of a record, whose arguments may be long, and of other files about a run."""
OF_THE_QUEUE = frozenset(
    (
        "sender",
        "code",
        "requirements",
        "node",
        "machines",
        "state",
        "submitted",
        "started",
        "ended",
        "exit_status",
        "boot",
        "reason",
    )
)
"""Fields of a record that no request has: the queue fills them in."""
OF_THE_MASTER = frozenset(("sender", "code", "requirements", "node", "machines"))
"""Those of them that another machine is told when it is to run it."""
LEFT_BEHIND = (OF_THE_QUEUE - OF_THE_MASTER) | {"secrets"}
KINDS = frozenset(("builtin", "python", "folder", "jar", "script", "shell"))
SHARED = "common"
"""The folder beside the built-in jobs with the modules that they share; a run has them beside its own."""


_TYPES: dict[str, type | tuple[type, ...]] = {
    "str": str,
    "bool": bool,
    "int": int,
    "float": (int, float),
    "int | None": (int, type(None)),
    "tuple[str, ...]": tuple,
    "dict[str, str]": dict,
    "dict[str, int]": dict,
    "tuple[dict[str, Any], ...]": tuple,
}


class Refused(Exception):
    """What was asked cannot be done; the text is one line for the user."""


@dataclass(frozen=True)
class Record:
    """One run. Times are seconds since the epoch; `reason` is one line, empty unless it failed.

    `env` is for its environment; so are its `secrets`, of which a record has the names only (see secret_env).
    `spark`: its executors, see layout. `on`: the group of which it asked for one machine, '' = the whole
    cluster; `cores` and `memory_mb` (MiB) what it has of that machine, while it waits what it asked for
    (0 = all of it).
    `parent`: the run that has submitted it, whose turn is its turn as long as that goes on.
    `submitter` is what the sender's computer calls them, `sender` whose key it was, `code` the digest of its
    program (see provenance), `commit` that of its git work tree, `dirty`: the program differs from that.
    `node` is where its program runs, `machines` are those that it has, see placing.Machine.
    """

    run: str
    name: str
    kind: str
    entry: str = ""
    args: tuple[str, ...] = ()
    main_class: str = ""
    deps: bool = False
    env: dict[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    spark: dict[str, int] = field(default_factory=dict)
    submitter: str = ""
    parent: str = ""
    sender: str = ""
    code: str = ""
    commit: str = ""
    dirty: bool = False
    requirements: tuple[str, ...] = ()
    on: str = ""
    cores: int = 0
    memory_mb: int = 0
    node: str = ""
    machines: tuple[dict[str, Any], ...] = ()
    state: str = QUEUED
    submitted: float = 0.0
    started: float = 0.0
    ended: float = 0.0
    exit_status: int | None = None
    reason: str = ""
    boot: str = ""

    def seconds(self, now: float) -> float:
        """Return how long the run has been running, or ran."""
        return round((self.ended or now) - self.started, 1) if self.started else 0.0


def new_run_id(name: str) -> str:
    """Return `<name>-<date>-<time>-<4 hex digits>`, in UTC; it is also the submission's client token."""
    return f"{name}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{token_hex(2)}"


def become_owner() -> None:
    """Go on as the user whom runs belong to, for good; this process is root's."""
    owner = (ROOT / "runs").stat()
    os.setgroups([])
    os.setgid(owner.st_gid)
    os.setuid(owner.st_uid)


def here() -> bool:
    """Return whether this machine has the queue: the master alone does."""
    return (ROOT / "runs").is_dir()


def folder(run: str) -> Path:
    """Return the folder of a run. Raises Refused when `run` is no run id."""
    if not RUN_ID.fullmatch(run):
        raise Refused(f"{run!r} is not the name of a run")
    return ROOT / "runs" / run


def load(run: str) -> Record:
    """Return the record of a run. Raises Refused when there is none."""
    try:
        found = json.loads(files.read_found(folder(run) / "run.json", most_bytes=LARGEST_BYTES))
        tuples = ("args", "secrets", "machines", "requirements")
        lists: dict[str, Any] = {name: tuple(found.get(name, ())) for name in tuples}
        record = Record(**{**found, **lists})
        layout.require(record.spark)
    except FileNotFoundError:
        raise Refused(f"there is no run {run}") from None
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        raise Refused(f"the record of {run} is damaged") from None
    shaped = all(isinstance(one, dict) for one in record.machines)
    if (
        record.run != run
        or not shaped
        or not all(isinstance(getattr(record, each.name), _TYPES[str(each.type)]) for each in fields(record))
    ):
        raise Refused(f"the record of {run} is damaged")
    return record


def save(record: Record) -> None:
    """Write the record of a run that is known, all or nothing."""
    write(record, folder(record.run))


def write(record: Record, home: Path) -> None:
    """Write a record into the folder `home`, all or nothing; for nobody else."""
    files.write(home / "run.json", json.dumps(asdict(record), indent=1) + "\n", mode=0o600)


def every() -> list[Record]:
    """Return all runs, the oldest first; damaged records are left out."""
    found = []
    for path in (ROOT / "runs").iterdir():
        if RUN_ID.fullmatch(path.name):
            with contextlib.suppress(Refused):
                found.append(load(path.name))
    return sorted(found, key=lambda record: (record.submitted, record.run))


@contextlib.contextmanager
def locked(name: str = "runs") -> Iterator[None]:
    """Hold a lock, of `runs` that under which states change: the folder itself, which no job can replace."""
    handle = os.open(ROOT / name, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def change(run: str, *, only_from: frozenset[str], **fields: object) -> Record:
    """Change fields of a record whose state is in `only_from`; returns what is there afterwards."""
    with locked():
        record = load(run)
        if record.state in only_from:
            record = replace(record, **fields)  # type: ignore[arg-type]
            save(record)
        return record


def ahead(run: str) -> list[Record]:
    """Return the unfinished runs that were submitted before `run` and may be in its way."""
    unfinished = [record for record in every() if record.state not in FINAL]
    for place, record in enumerate(unfinished):
        if record.run == run:
            return [other for other in unfinished[:place] if _meet(record, other)]
    return []


def _meet(one: Record, other: Record) -> bool:
    """Return whether two runs may want the same machine."""
    if one.on == other.on or (one.on and other.on):
        return one.on == other.on
    whole = {each["group"] for each in settings().get("machines", ()) if each["spark"]}
    return (one.on or other.on) in whole


def describe(record: Record, *, whole: bool = False) -> dict[str, object]:
    """Return a record as the answer that programs read; `whole`: with the packages that its program finds."""
    answer = asdict(record)
    answer["env"] = sorted({*record.env, *answer.pop("secrets")})  # the names
    answer["seconds"] = record.seconds(time.time())
    answer["ahead"] = [other.run for other in ahead(record.run)] if record.state == QUEUED else []
    answer["cost"] = cost(record)
    if whole:
        answer["packages"] = provenance.packages(folder(record.run))
    answer["progress"] = progress.read(folder(record.run)) if record.state == RUNNING else ""
    answer["results"] = sorted(path.name for path in (folder(record.run) / "results").glob("*"))
    return answer


def leave(record: Record, **fields: object) -> dict[str, Any]:
    """Return what another machine has to know of a record that it is to run."""
    known = {name: value for name, value in asdict(record).items() if name not in LEFT_BEHIND}
    return {**known, **fields}


def cost(record: Record) -> float | None:
    """Return what the machines have cost while a run had them, in US dollars; None = not known.

    Of a machine that it shared it is the share of its cores.
    """
    hourly = 0.0
    for one in record.machines:
        each, cores = one.get("hourly"), one.get("cores")
        if not isinstance(each, int | float) or not isinstance(cores, int):
            return None
        hourly += each * (record.cores / cores if record.cores and cores else 1)
    dollars = hourly * record.seconds(time.time()) / 3600
    return round(dollars, 6) if record.machines and math.isfinite(dollars) else None


def notify(run: str, what: str) -> None:
    """Wake the queue (see dispatch.py): it looks whenever this folder is not empty."""
    (ROOT / "queue" / f"{run}.{what}").touch()


def settings() -> dict[str, Any]:
    """Return what the role wrote: see its template jobs.json.j2."""
    found: dict[str, Any] = json.loads(SETTINGS.read_text())
    return found


def guest() -> bool:
    """Return whether this machine only takes runs that the queue of the cluster's master puts on it."""
    return bool(settings().get("guest"))


def boot_id() -> str:
    """Return an id that is new after each start of the machine."""
    with contextlib.suppress(OSError):
        started = Path("/proc/1/stat").read_text().rpartition(")")[2].split()[19]
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip() + "-" + started
    return ""
