"""test: lint, unit and system tests of Muster itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import typer

from provision.commands.output import examples, say
from provision.core.errors import CommandFailed
from provision.core.paths import PROJECT

BIN = Path(sys.executable).parent
SUITES = (("tests/unit", "-n", "auto", "--dist", "loadfile"), ("tests/system",))
"""What pytest is given, run after run: pure code is tested on all processors, machines have them alone."""


@dataclass(frozen=True)
class Check:
    """One lint command, with variables of its environment.

    `status` is its exit status, `output` what it printed, `seconds` how long it took.
    """

    name: str
    command: tuple[str, ...]
    settings: Mapping[str, str] = field(default_factory=dict)
    status: int = 0
    output: str = ""
    seconds: float = 0.0


def register(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command(
        "test",
        short_help="Lint and test Muster itself.",
        epilog=examples(
            "test                        lint, unit and system tests",
            "test --long                 also what takes long",
            "test -- tests/unit -k plan  what follows -- goes to pytest, lint is left out",
        ),
    )(test)


def checks() -> list[Check]:
    """Return the lint commands of this project."""
    scripts = [
        str(path.relative_to(PROJECT))
        for path in (PROJECT / "muster", PROJECT / ".ci" / "run")
        if path.exists()
    ]
    scripts += [str(path.relative_to(PROJECT)) for path in sorted((PROJECT / "roles").rglob("*.sh"))]
    jobs = sorted(path.parent.name for path in (PROJECT / "jobs").glob("*/main.py"))
    return [  # the slowest first
        Check("ansible-lint", ("ansible-lint", "--offline", "--nocolor", "-q")),
        Check("mypy", ("mypy",)),
        # Each job is a program of its own, whose modules find each other without a package.
        *(
            Check(f"mypy jobs/{job}", ("mypy", f"jobs/{job}"), {"MYPYPATH": f"node:jobs/{job}"})
            for job in jobs
        ),
        Check("import-linter", ("lint-imports", "--no-cache")),
        Check("ruff", ("ruff", "check", ".")),
        Check("ruff format", ("ruff", "format", "--check", ".")),
        Check("yamllint", ("yamllint", "--strict", ".")),
        Check("shellcheck", ("shellcheck", *scripts)),
    ]


def environment() -> dict[str, str]:
    """Return the environment of the tests: our programs first, none of the caller's settings."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if key.startswith("MUSTER_TEST_") or not key.startswith(("ANSIBLE_", "MUSTER_"))
    }
    return kept | {"PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}"}


def perform(check: Check) -> Check:
    """Run one lint command."""
    begin = time.monotonic()
    program = shutil.which(check.command[0], path=environment()["PATH"])
    if program is None:
        return replace(check, status=127, output=f"{check.command[0]} is not installed")
    done = subprocess.run(
        [program, *check.command[1:]],
        cwd=PROJECT, env={**environment(), **check.settings}, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    return replace(check, status=done.returncode, output=done.stdout, seconds=time.monotonic() - begin)


def lint() -> list[str]:
    """Run all lint commands, two at a time; print what they found; return the names of those that failed."""
    failed = []
    with ThreadPoolExecutor(max_workers=2) as pool:
        for done in as_completed([pool.submit(perform, check) for check in checks()]):
            found = done.result()
            say(f"{'FAILED' if found.status else 'ok':<7}{found.name} ({found.seconds:.1f} s)")
            if found.status:
                say(found.output.rstrip())
                failed.append(found.name)
    return failed


def test(
    long: Annotated[bool, typer.Option("--long", help="Also the tests that take long.")] = False,
    more: Annotated[
        list[str] | None, typer.Argument(help="Arguments for pytest, after --; lint is left out.")
    ] = None,
) -> None:
    """Run lint, unit and system tests; what is shown last is pytest's own summary of the system tests."""
    failed = [] if more else lint()
    marks: Sequence[str] = () if long or more else ("-m", "not long")
    for suite in [more] if more else SUITES:
        words = [*marks, *suite]
        say(f"pytest {' '.join(words)}")
        command = [sys.executable, "-m", "pytest", *words]
        if subprocess.run(command, cwd=PROJECT, env=environment(), check=False).returncode:
            failed.append("pytest" if more else f"pytest {suite[0]}")
    if failed:
        raise CommandFailed(what=f"failed: {', '.join(failed)}", remedy="The output is above")
    say("Lint and tests passed." if not more else "Tests passed.")
