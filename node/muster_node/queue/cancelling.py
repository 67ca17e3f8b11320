"""Stopping a run, or taking it out of the queue."""

from __future__ import annotations

import time

from muster_node.queue import records, verdict
from muster_node.queue.records import CANCELLED, FINAL, QUEUED, Record, Refused

POLL_S = 0.2
DEADLINE_S = 60.0
"""How long a run may take to end."""


def cancel(run: str) -> Record:
    """Cancel a run, with those that it has submitted, and wait until it has ended; return its record.

    Raises Refused: it does not end.
    """
    record = _mark(run)
    for own in records.every():
        if own.parent == run and own.state not in FINAL:
            _mark(own.run)
    end = time.monotonic() + DEADLINE_S
    while record.state not in FINAL:
        if time.monotonic() > end:
            raise Refused(f"{run} did not end within {DEADLINE_S:.0f} s")
        time.sleep(POLL_S)
        record = records.load(run)
    return record


def _mark(run: str) -> Record:
    """Have the queue stop a run; one that waits is out of it at once."""
    (records.folder(run) / verdict.CANCEL).touch()
    record = records.change(
        run, only_from=frozenset((QUEUED,)), state=CANCELLED, reason="cancelled", ended=time.time()
    )
    records.notify(run, "cancel")
    return record
