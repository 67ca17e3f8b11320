"""Programs on machines by ssh: the one place that knows its command line, and what its failures mean."""

from __future__ import annotations

import difflib
import subprocess
from collections.abc import Sequence
from pathlib import Path

from provision.core.errors import CommandFailed, HostKeyMismatch, MusterError, Unreachable, one_line
from provision.core.text import last_line

BATCH = ("-o", "BatchMode=yes")
"""Nothing is asked: what needs an answer fails."""
NO_CONFIG = "none"
"""In place of an ssh_config: what the user or the computer has configured does not count."""
SSH_FAILED = 255


def ssh_command(config: Path | str, *words: str, options: Sequence[str] = ()) -> list[str]:
    """Return an ssh command line.

    Args:
        config: an ssh_config, or NO_CONFIG.
        words: a machine, and what to run there; nothing = a shell.
        options: of ssh itself.
    """
    return ["ssh", "-F", str(config), *options, *words]


def run_on(
    config: Path, machine: str, script: str, *, given: str = "", timeout_s: float | None = None
) -> str:
    """Run a shell script on a machine, with `given` on its standard input; return what it printed.

    Raises:
        CommandFailed: it failed, or took longer than `timeout_s`.
        Unreachable: there was no connection.
        HostKeyMismatch: the machine shows another host key.
    """
    command = ssh_command(config, machine, script, options=(*BATCH, "-T"))
    try:
        done = subprocess.run(
            command, input=given, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired as late:
        raise CommandFailed(what=f"no answer within {late.timeout:.0f} s", where=machine) from None
    if done.returncode:
        raise failure(machine, done.returncode, done.stderr)
    return done.stdout


def failure(machine: str, status: int, complaints: str) -> MusterError:
    """Return what it means that ssh ended with `status`, having printed `complaints`."""
    if "Host key verification failed" in complaints:
        return HostKeyMismatch(
            machine=machine,
            what="it shows a host key that is not the pinned one; nothing was sent to it",
            remedy="Find out whether somebody is in between or the machine was replaced before going on",
        )
    if status == SSH_FAILED:
        why = one_line(complaints) or "connection lost"
        return Unreachable(
            machines=[machine], what=f"cannot be reached over SSH: {why}", remedy="See ./muster status"
        )
    # Programs of Hadoop warn after they have said what is wrong.
    said = "\n".join(line for line in complaints.splitlines() if " WARN " not in line)
    return CommandFailed(what=last_line(said) or f"ended with status {status}", where=machine, status=status)


def pick_machine(given: str, cluster: str, names: Sequence[str]) -> str:
    """Return the machine meant by `given`: its name with or without the cluster's, '' = the master.

    Raises MusterError, with the closest name, when there is none.
    """
    wanted = given or "master"
    for name in (wanted, f"{cluster}-{wanted}"):
        if name in names:
            return name
    close = difflib.get_close_matches(
        wanted, [*names, *(name.removeprefix(f"{cluster}-") for name in names)], n=1
    )
    remedy = f"Did you mean {close[0]}?" if close else f"There are: {', '.join(names)}"
    raise MusterError(what=f"no machine is called {wanted!r}", where=cluster, remedy=remedy)
