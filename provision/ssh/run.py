"""Programs on machines by ssh: the one place that knows its command line, and what its failures mean."""

from __future__ import annotations

import difflib
import subprocess
from collections.abc import Sequence
from pathlib import Path

from provision.core.errors import CommandFailed, HostKeyMismatch, MusterError, Unreachable, one_line
from provision.core.text import last_line
from provision.ssh import sharing

BATCH = ("-o", "BatchMode=yes")
"""Nothing is asked: what needs an answer fails."""
NO_CONFIG = "none"
"""In place of an ssh_config: what the user or the computer has configured does not count."""
SSH_FAILED = 255


def ssh_command(config: Path | str, machine: str, *words: str, options: Sequence[str] = ()) -> list[str]:
    """Return an ssh command line; commands share their connections to a machine of a cluster.

    Args:
        config: a cluster's ssh_config, or NO_CONFIG.
        machine: its name there; of another host USER@ADDRESS.
        words: what to run there; nothing = a shell.
        options: of ssh itself.

    Raises:
        NotReady: there can be no folder of our own for the connections' sockets.
    """
    return [*ssh_to(config, machine, options=options), machine, *words]


def ssh_to(config: Path | str, machine: str, *, options: Sequence[str] = ()) -> list[str]:
    """Return `ssh_command` up to the machine's name, which a program that runs ssh adds by itself."""
    shared = [] if config == NO_CONFIG else sharing.options(sharing.folder(), Path(config).parent, machine)
    return ["ssh", "-F", str(config), *options, *shared]


def jump_command(jump: str) -> str:
    """Return ssh_config's ProxyCommand for a host to go by; the user's own settings and keys count for it."""
    host, _, port = jump.partition(":")
    return f"ssh -o BatchMode=yes {f'-p {port} ' if port else ''}-W %h:%p {host}" if jump else ""


def run_on(
    config: Path,
    machine: str,
    script: str,
    *,
    given: str = "",
    user: str = "",
    timeout_s: float | None = None,
) -> str:
    """Run a shell script on a machine; return what it printed.

    Args:
        config: a cluster's ssh_config.
        machine: its name there.
        script: for a shell.
        given: what it finds on its standard input.
        user: who runs it; '' = whom `config` names.
        timeout_s: seconds that it may take.

    Raises:
        CommandFailed: it failed, or took longer than `timeout_s`.
        Unreachable: there was no connection.
        HostKeyMismatch: the machine shows another host key.
    """
    options = (*BATCH, "-T", *(("-l", user) if user else ()))
    command = ssh_command(config, machine, script, options=options)
    try:
        done = subprocess.run(
            command, input=given, capture_output=True, encoding="utf-8", errors="replace",
            timeout=timeout_s, check=False,
        )  # fmt: skip
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
