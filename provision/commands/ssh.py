"""ssh, run, put, get: the machines themselves."""

from __future__ import annotations

import os
import secrets
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from provision.commands.invocation import invocation_of
from provision.commands.options import AsJson
from provision.commands.output import examples, print_json, print_result
from provision.core.errors import CommandFailed, MusterError
from provision.core.names import LOGIN_USER
from provision.core.progress import waiting
from provision.ssh import copying
from provision.ssh.run import pick_machine, run_on, ssh_command, ssh_to

if TYPE_CHECKING:
    from provision.state.folder import State

HDFS = "hdfs:"
FROM_NODES = ("--no-owner", "--no-group", "--no-D", "--chmod=ug-s", "--copy-unsafe-links", "--safe-links")
"""How rsync takes what a node sends: no owners, no devices, nothing that runs as another. For a link that
leads out of it the node sends what it leads to there; a link itself that leads out is not taken."""
SCRATCH = "/data/scratch"
REMOTE_WORDS = {"ignore_unknown_options": True, "allow_interspersed_args": False}


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command(
        "ssh",
        context_settings=REMOTE_WORDS,
        epilog=examples(
            "ssh                             a shell on the master, as hadoop",
            "ssh worker-1                    on a worker",
            "ssh master -- hdfs dfs -ls /    one command",
            "ssh --admin worker-1 -- sudo journalctl -b -p warning    as muster, who may become root",
        ),
    )(ssh)
    app.command(
        "run",
        context_settings=REMOTE_WORDS,
        epilog=examples("run -- df -h /data", "run --json -- hostname"),
    )(run)
    app.command(
        "put",
        epilog=examples(
            "put train.py                    to the home of hadoop on the master",
            "put images/ worker-1:/data/scratch/images",
            "put rows.csv hdfs:/user/hadoop/rows.csv",
        ),
    )(put)
    app.command(
        "get",
        epilog=examples("get master:train.py .", "get hdfs:/results/RUN .      makes the folder RUN"),
    )(get)


def ssh(
    context: typer.Context,
    node: Annotated[str, typer.Argument(help="Default: the master.")] = "",
    command: Annotated[list[str] | None, typer.Argument(help="Default: a shell.")] = None,
    admin: Annotated[bool, typer.Option("--admin", help="As `muster`, who may use sudo.")] = False,
) -> None:
    """Log in on a machine as `hadoop`, or run one command there."""
    state = invocation_of(context).started()
    words = command or []
    if node == "--":
        node = ""
    if words[:1] == ["--"]:
        words = words[1:]
    name = pick_machine(node, state.cluster, list(state.targets()))
    sys.stdout.flush()
    options = [*(("-l", LOGIN_USER) if admin else ()), *(() if words else ("-t",))]
    line = ssh_command(state.ssh_config, name, *words, options=options)
    os.execvp(line[0], line)  # noqa: S606


def run(
    context: typer.Context,
    command: Annotated[list[str], typer.Argument(help="The command and its arguments.")],
    as_json: AsJson = False,
    timeout: Annotated[float, typer.Option(help="Seconds after which a machine counts as failed.")] = 600,
) -> None:
    """Run a command on all machines at once as `hadoop`; fails when it fails on any of them."""
    from provision.core.names import STORE_HOST
    from provision.ssh import connection

    view = invocation_of(context).view()
    words = command[1:] if command[:1] == ["--"] else command
    line = words[0] if len(words) == 1 else shlex.join(words)
    names = [name for name in view.state.targets() if name != STORE_HOST]
    if not names:
        raise MusterError(what="no machines", where=view.spec.name, remedy="Start it with ./muster up")
    with waiting(f"running on {len(names)} machines"):
        results = connection.run_on_all(view.state.folder, names, line, timeout_s=timeout)
    if as_json:
        print_json(
            {
                name: {"status": r.status, "stdout": r.stdout, "stderr": r.stderr}
                for name, r in results.items()
            }
        )
    else:
        for name, result in results.items():
            text = (result.stdout + result.stderr).rstrip("\n")
            for part in text.splitlines() or [""]:
                print_result(f"{name}: {part}" if part else f"{name}:")
    failed = [name for name, result in results.items() if result.status]
    if failed:
        raise CommandFailed(
            what=f"the command failed on {len(failed)} of {len(results)} machines", where=", ".join(failed)
        )


def put(
    context: typer.Context,
    source: Annotated[str, typer.Argument(help="A file or folder here.")],
    target: Annotated[
        str, typer.Argument(help="NODE:PATH or hdfs:PATH; default: the master's home of hadoop.")
    ] = "master:",
) -> None:
    """Copy a file or folder to a machine or into HDFS. Interrupted, it goes on where it stopped."""
    local = _local(source)
    if not Path(local).exists():
        raise MusterError(what="there is no such file or folder", where=source)
    state = invocation_of(context).started()
    if not target.startswith(HDFS):
        node, path = _remote(target, state)
        if copying.has_wildcard(path):
            raise MusterError(
                what="rsync takes * ? [ in the name of a target for a pattern",
                where=target,
                remedy="Put it into a folder there, then rename it by ./muster ssh",
            )
        _rsync(state, node, local, f"{node}:{path}")
        return
    master = pick_machine("", state.cluster, list(state.targets()))
    path = target.removeprefix(HDFS).removeprefix("//") or "."
    with _passing(state, master) as folder:
        _rsync(state, master, local.rstrip("/"), f"{master}:{folder}/")
        script = copying.hdfs_put(f"{folder}/{Path(local).name}", path)
        _hdfs(state, master, script, f"writing {target}")


def get(
    context: typer.Context,
    source: Annotated[str, typer.Argument(help="NODE:PATH or hdfs:PATH.")],
    target: Annotated[str, typer.Argument(help="A file or folder here.")] = ".",
) -> None:
    """Copy a file or folder from a machine or out of HDFS."""
    state = invocation_of(context).started()
    if not source.startswith(HDFS):
        node, path = _remote(source, state)
        _fetch(state, node, path, target)
        return
    master = pick_machine("", state.cluster, list(state.targets()))
    path = source.removeprefix(HDFS).removeprefix("//")
    name = Path(path).name
    if not name:
        raise MusterError(what="say which file or folder of HDFS", where=source)
    with _passing(state, master) as folder:
        _hdfs(state, master, copying.hdfs_get(path, folder), f"reading {source}")
        _fetch(state, master, f"{folder}/{name}", target)


def _local(text: str) -> str:
    """Return a path of this computer that rsync takes for nothing else (a:b for a file on host a)."""
    return str(Path(text).expanduser().absolute()) + ("/" if text.endswith("/") else "")


def _remote(text: str, state: State) -> tuple[str, str]:
    """Return machine and path of NODE:PATH. Raises MusterError when it is none."""
    node, colon, path = text.partition(":")
    if not colon:
        raise MusterError(
            what="does not say which machine",
            where=text,
            remedy=f"Write master:{text}, or hdfs:{text} for HDFS",
        )
    return pick_machine(node, state.cluster, list(state.targets())), path


@contextmanager
def _passing(state: State, master: str) -> Iterator[str]:
    """Yield the name of a folder on the master for what passes through; it is removed in any case."""
    folder = f"{SCRATCH}/passing-{secrets.token_hex(4)}"
    try:
        yield folder
    finally:
        with suppress(MusterError):
            run_on(state.ssh_config, master, f"rm -rf -- {folder}")


def _fetch(state: State, machine: str, path: str, target: str) -> None:
    """Copy from a machine. Raises CommandFailed."""
    _rsync(state, machine, f"{machine}:{copying.rsync_literal(path)}", _local(target), *FROM_NODES)


def _rsync(state: State, machine: str, source: str, target: str, *options: str) -> None:
    """Copy with rsync over the cluster's ssh_config. Raises CommandFailed."""
    progress = ["--info=progress2"] if sys.stderr.isatty() else []
    over = shlex.join(ssh_to(state.ssh_config, machine))
    command = ["rsync", "-a", "--partial", "-s", *options, *progress, "-e", over, "--", source, target]
    with waiting(f"copying {source}"):
        done = subprocess.run(
            command, stderr=subprocess.PIPE, encoding="utf-8", errors="replace", check=False
        )
    if done.returncode:
        reason = next(
            (line for line in done.stderr.splitlines() if line.strip()), f"status {done.returncode}"
        )
        raise CommandFailed(what=f"could not be copied: {reason}", where=source, status=done.returncode)


def _hdfs(state: State, master: str, script: str, what: str) -> None:
    """Run an HDFS command on the master. Raises MusterError, which says that it was at `what`."""
    with waiting(what):
        try:
            run_on(state.ssh_config, master, script)
        except CommandFailed as error:
            error.where = what
            raise
