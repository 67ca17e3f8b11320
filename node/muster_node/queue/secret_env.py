"""The secrets of runs: values that stand in no record, and that are there only until the run has ended.

They wait in memory (FOLDER is below /run), readable for root alone, since other jobs run as the user that
the queue belongs to. The unit hands them to its own processes as a credential, and dispatch forgets them as
soon as the run waits no more. A machine that stops forgets them all.

A machine that the queue has put a run on waits with nothing: the run itself takes them out of GUEST, which
belongs to the user of jobs. No unit loads what lies there, as that user could lead root anywhere.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

from muster_node import files
from muster_node.queue.records import Refused

FOLDER = Path(os.environ.get("MUSTER_JOBS_SECRETS", "/run/muster-secrets"))
GUEST = Path(os.environ.get("MUSTER_JOBS_GUEST_SECRETS", "/run/muster-guest-secrets"))
CREDENTIAL = "environment"
"""The name of the credential in the unit of a run."""


def keep(run: str, values: Mapping[str, str]) -> None:
    """Keep the secrets of a run that is about to wait; `run` was checked."""
    FOLDER.mkdir(mode=0o700, exist_ok=True)
    files.write(FOLDER / run, json.dumps(dict(values)), mode=0o600)


def forget(run: str) -> None:
    """Forget the secrets of a run; again is harmless."""
    (FOLDER / run).unlink(missing_ok=True)


def forget_all_but(waiting: Collection[str], known: Collection[str]) -> None:
    """Forget the secrets of the runs in `known` that are not in `waiting`; others are about to be known."""
    for run in set(known) - set(waiting):
        forget(run)


def hand_over(run: str, values: Mapping[str, str]) -> None:
    """Leave the secrets of a run, for the run itself to take."""
    files.write(GUEST / run, json.dumps(dict(values)), mode=0o600)


def handed_over(run: str, names: Collection[str]) -> dict[str, str]:
    """Return the secrets that a run was given. Raises Refused when one of `names` is missing."""
    found: dict[str, str] = {}
    for path in (GUEST / run, Path(os.environ.get("CREDENTIALS_DIRECTORY", "/nowhere"), CREDENTIAL)):
        with suppress(FileNotFoundError):
            found |= json.loads(path.read_text())
    (GUEST / run).unlink(missing_ok=True)
    if gone := sorted(set(names) - set(found)):
        raise Refused(
            f"its secrets ({', '.join(gone)}) are gone: a machine forgets them when it stops; submit it again"
        )
    return {name: found[name] for name in names}
