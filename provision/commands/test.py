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
SYSTEM_PYTHON = Path("/usr/bin/python3")
MAKE_ENVIRONMENT = (
    "import sys; from provision import environment; environment.VENV /= sys.argv[1]; "
    "raise SystemExit(environment.main(['--base', '--dev']))"
)
OLDEST = (3, 11)
AT_ONCE = ("-n", str((os.cpu_count() or 1) + 2), "--dist", "loadfile")
"""Two more than there are processors: some wait for a clock or an answer."""
SUITES = (("tests/unit", "tests/strangers", *AT_ONCE), ("tests/system",))
"""What pytest is given, run after run: pure code is tested on all processors, machines have them alone."""


ELSEWHERE = (
    *("tests/unit/core", "tests/unit/jobs", "tests/unit/ssh", "tests/unit/data", "tests/unit/commands"),
    *("tests/unit/node/test_archive.py", "tests/unit/node/test_artifacts.py", "tests/unit/node/labels"),
    "tests/unit/providers/local/test_permission.py",
)
"""Of this computer's side: what meets archives, names of files, other programs and what they print."""


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
    apps = sorted(path.parent.name for path in (PROJECT / "apps").glob("*/main.py"))
    jobs = sorted(path.parent.name for path in (PROJECT / "jobs").glob("*/main.py"))
    return [  # the slowest first
        Check("ansible-lint", ("ansible-lint", "--offline", "--nocolor", "-q")),
        Check("mypy", ("mypy",)),
        # Each job is a program of its own, whose modules find each other without a package.
        *(
            Check(f"mypy jobs/{job}", ("mypy", f"jobs/{job}"), {"MYPYPATH": f"node:jobs/common:jobs/{job}"})
            for job in jobs
        ),
        *(
            Check(
                f"mypy apps/{app}",
                ("mypy", f"apps/{app}"),
                {"MYPYPATH": f"node:jobs/common:jobs/preprocess:apps/{app}"},
            )
            for app in apps
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
    return kept | {"PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}", "PYTHONUNBUFFERED": "1"}


def bare_environment() -> dict[str, str]:
    """Return an environment such as cron's: no UTF-8, nothing that makes output unbuffered."""
    names = ("HOME", "LOGNAME", "PATH", "TMPDIR", "USER")
    return {name: os.environ[name] for name in names if name in os.environ} | {"LC_ALL": "C"}


def python_elsewhere() -> Path:
    """Return this system's own Python in an environment of its own, which is made when it is missing.

    The one that runs here where the system has none that Muster can use, or that very one.

    Raises:
        CommandFailed: its environment cannot be made.
    """
    code = "import sys; print(*sys.version_info[:3], sep='.')"
    command = [str(SYSTEM_PYTHON), "-Ic", code]
    version = subprocess.check_output(command, encoding="utf-8").strip() if SYSTEM_PYTHON.exists() else ""
    known = tuple(int(number) for number in version.split(".") if number)
    if known < OLDEST or known == sys.version_info[:3]:
        return Path(sys.executable)
    name = f"system-{version}"
    command = [str(SYSTEM_PYTHON), "-Esc", MAKE_ENVIRONMENT, name]
    if subprocess.run(command, cwd=PROJECT, check=False).returncode:
        raise CommandFailed(what=f"no environment with {SYSTEM_PYTHON}", remedy="The reason is above")
    return PROJECT / ".venv" / name / "bin" / "python"


def passes_elsewhere() -> bool:
    """Test this computer's side with another Python, where there is one, in a bare environment."""
    try:
        python = python_elsewhere()
    except CommandFailed as error:
        say(str(error))
        return False
    words = ["-m", "not long", *AT_ONCE, "-q", *ELSEWHERE]
    say(f"{python} in a bare environment: pytest {' '.join(words)}")
    command = [str(python), "-m", "pytest", *words]
    return not subprocess.run(command, cwd=PROJECT, env=bare_environment(), check=False).returncode


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
    """Run lint, unit and system tests; what is shown last is pytest's own summary of the system tests.

    A part of the unit tests is run with this system's own Python, too, in a bare environment.
    """
    failed = [] if more else lint()
    if not more and not passes_elsewhere():
        failed.append("pytest elsewhere")
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
