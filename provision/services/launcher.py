"""The form for pictures on the master, seen from here: its password, and whose model answers."""

from __future__ import annotations

import http.client
import re
from typing import TYPE_CHECKING, Any

from muster_node.authorization import basic
from muster_node.queue.records import RUN_ID
from provision.core.errors import MusterError
from provision.core.untrusted import is_number, parse_json
from provision.ssh.tunnels import Dial, HttpConnection

if TYPE_CHECKING:
    from paramiko import Transport

FEATURE, USER, HOST, PORT = "launcher", "launcher", "127.0.0.1", 7860
BEST = "best"
"""In place of a run that is pinned: the best one answers."""
_PASSWORD = "cat /var/lib/muster-launcher/password"  # noqa: S105
_PINNED = re.compile(rf"{RUN_ID.pattern}(/[a-z]+_[a-z]+)?")
"""A run, or one within a run of the job `grid`."""
_ANSWER_S = 30.0
_LENGTH, _NOTES = 300, 20


def authorization(transport: Transport, master: str) -> str:
    """Return the header by which the form lets requests in.

    Args:
        transport: a connection to the master as the user of jobs, begun after the form was installed.
        master: its name.

    Raises:
        MusterError: there is no form.
    """
    from provision.ssh.connection import execute  # slow to import, as it needs paramiko

    try:
        status, password, _ = execute(transport, _PASSWORD, timeout_s=_ANSWER_S)
    except (OSError, EOFError):
        status, password = 1, ""
    if status:
        raise _not_started(master)
    return basic(USER, password.strip())


def model(dial: Dial, header: str, master: str, pin: str = "") -> dict[str, Any]:
    """Return whose model answers: run, cluster ('' = this one), metric, value, rule; or `problem`: why none.

    `notes`: which others would answer, and why they do not.

    Args:
        dial: the way to the master.
        header: see `authorization`.
        master: its name.
        pin: a run whose model answers from now on, or BEST.

    Raises:
        MusterError: the form does not answer, or that run has no model for it.
    """
    if pin and pin != BEST and not _PINNED.fullmatch(pin):
        raise MusterError(what=f"{pin} is no run", remedy="./muster jobs lists the runs")
    method = "DELETE" if pin == BEST else "PUT" if pin else "GET"
    path = f"/model/{pin}" if method == "PUT" else "/model"
    connection = HttpConnection(HOST, PORT, dial)
    try:
        connection.request(method, path, headers={"Authorization": header})
        told = parse_json(connection.getresponse().read(1 << 16))
    except (OSError, EOFError, http.client.HTTPException):
        raise _not_started(master) from None
    finally:
        connection.hang_up()
    if not isinstance(told, dict):
        raise _not_started(master)
    problem = str(told.get("problem", ""))[:_LENGTH]
    if pin and problem:
        raise MusterError(what=problem, where=master, remedy="The model that answered before still does")
    if problem:
        return {"run": "", "problem": problem}
    value = told.get("value")
    words = {key: str(told.get(key, ""))[:_LENGTH] for key in ("run", "cluster", "dataset", "metric", "rule")}
    notes = told.get("notes")
    said = [str(note)[:_LENGTH] for note in notes[:_NOTES]] if isinstance(notes, list) else []
    return {**words, "value": value if is_number(value) else None, "notes": said}


def _not_started(master: str) -> MusterError:
    return MusterError(
        what="the launcher is not there yet, or does not answer", where=master, remedy="Run ./muster up"
    )
