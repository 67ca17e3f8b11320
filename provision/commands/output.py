"""What all commands share: how progress and results are shown, and how a person is asked."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import typer

from provision.core import terminal
from provision.core.errors import MusterError


def examples(*lines: str) -> str:
    """Return the closing part of a help text: one example a line, unwrapped."""
    return "\b\nExamples:\n" + "\n".join(f"  ./muster {line}" for line in lines)


def say(text: str) -> None:
    """Print one line for a person on standard error."""
    terminal.say(text)


def print_result(text: str) -> None:
    """Print a result on standard output."""
    typer.echo(terminal.printable(text))


def print_json(value: Any) -> None:  # noqa: ANN401  (anything that JSON knows)
    """Print a result for a program on standard output."""
    typer.echo(json.dumps(value, indent=2, default=str))


def confirm(question: str, *, yes: bool) -> None:
    """Ask on a terminal; `yes` = said already. Raises typer.Exit on a no, MusterError without a terminal."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise MusterError(what="this needs an answer and there is no terminal to ask on", remedy="Say --yes")
    if not typer.confirm(question, err=True):
        say("Nothing was changed.")
        raise typer.Exit(1)


def in_parallel(*calls: Callable[[], Any]) -> list[Any]:
    """Run the calls at the same time; return their results in order. The first error is raised."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max_workers=len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]
