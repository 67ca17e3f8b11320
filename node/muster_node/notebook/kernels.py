"""What is computed in notebooks right now, as their server says: what `muster-idle` counts as use."""

from __future__ import annotations

import datetime
import http.client
import json
import ssl
import urllib.request
from pathlib import Path
from typing import Any

FOLDER = Path("/etc/muster/notebook")
RUNTIME = "/run/muster-notebook/"
"""Where the server's kernels have their connection files; their command lines name them."""
PORT = 8888
TIMEOUT_S = 3.0


def at_work(answers: dict[str, list[dict[str, Any]]], now: datetime.datetime, within_s: float) -> list[str]:
    """Return, in words, what computes or was used a moment ago.

    Args:
        answers: the server's, by what was asked for: `kernels`, `terminals`.
        now: with its time zone.
        within_s: seconds that a moment has.
    """
    found = []
    for kind, each in ((kind, each) for kind, known in answers.items() for each in known):
        last = datetime.datetime.fromisoformat(each["last_activity"])
        if each.get("execution_state") == "busy" or (now - last).total_seconds() < within_s:
            found.append(f"a {kind.removesuffix('s')} of the notebook")
    return found


def page(kind: str, port: int = PORT) -> str:
    """Return the address that tells the server's `kernels` or `terminals`; to ask is no use of it."""
    return f"https://127.0.0.1:{port}/api/{kind}?no_track_activity=1"


def login(folder: Path = FOLDER) -> str:
    """Return the header that lets in. Raises OSError: there is no token yet."""
    return f"token {(folder / 'token').read_text()}"


def trusted(folder: Path = FOLDER) -> ssl.SSLContext:
    """Return what takes the server's certificate and no other. Raises OSError: there is none yet."""
    return ssl.create_default_context(cafile=str(folder / "ca.pem"))


def ask(folder: Path = FOLDER, port: int = PORT) -> dict[str, list[dict[str, Any]]]:
    """Ask the server on this machine. Raises OSError, ValueError: it does not answer."""
    context, header = trusted(folder), login(folder)
    answers = {}
    for kind in ("kernels", "terminals"):
        request = urllib.request.Request(page(kind, port), headers={"Authorization": header})  # noqa: S310  loopback
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        try:
            with opener.open(request, timeout=TIMEOUT_S) as answer:
                answers[kind] = json.load(answer)
        except http.client.HTTPException as error:
            raise ValueError(f"port {port} answers something else") from error
    return answers


def used(within_s: float) -> list[str]:
    """Return what is used, as `at_work`; [] where there is no server or none that answers."""
    if not (FOLDER / "token").exists():
        return []
    try:
        return at_work(ask(), datetime.datetime.now(datetime.UTC), within_s)
    except (OSError, ValueError, KeyError):
        return []
