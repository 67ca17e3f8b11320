"""ssh, run, put, get: the machines themselves."""

from __future__ import annotations

import os
import secrets
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from provision.commands.invocation import invocation_of
from provision.commands.options import AsJson
from provision.commands.output import examples, print_json, print_result, say
from provision.core.errors import CommandFailed, MusterError
from provision.core.progress import waiting
from provision.ssh.run import node_names, pick_node

HDFS = "hdfs:"
SCRATCH = "/data/scratch"
REMOTE_WORDS = {"ignore_unknown_options": True, "allow_interspersed_args": False}


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command(
        "ssh",
        short_help="Log in on a machine, or run one command there.",
        context_settings=REMOTE_WORDS,
        epilog=examples(
            "ssh                             a shell on the master, as hadoop",
            "ssh worker-1                    on a worker",
            "ssh master -- hdfs dfs -ls /    one command",
        ),
    )(ssh)
    app.command(
        "run",
        short_help="Run a command on all machines at once.",
        context_settings=REMOTE_WORDS,
        epilog=examples("run -- df -h /data", "run --json -- hostname"),
    )(run)
    app.command(
        "put",
        short_help="Copy to a machine or into HDFS.",
        epilog=examples(
            "put train.py                    to the home of hadoop on the master",
            "put images/ worker-1:/data/scratch/images",
            "put rows.csv hdfs:/user/hadoop/rows.csv",
        ),
    )(put)
    app.command(
        "get",
        short_help="Copy from a machine or out of HDFS.",
        epilog=examples("get master:train.py .", "get hdfs:/results/RUN .      makes the folder RUN"),
    )(get)


def ssh(
    context: typer.Context,
    node: Annotated[str, typer.Argument(help="Default: the master.")] = "",
    command: Annotated[list[str] | None, typer.Argument(help="Default: a shell.")] = None,
) -> None:
    """Log in on a machine as `hadoop`, or run one command there."""
    cluster, config = invocation_of(context).ssh_config()
    words = command or []
    if node == "--":
        node = ""
    if words[:1] == ["--"]:
        words = words[1:]
    name = pick_node(node, cluster, node_names(config))
    sys.stdout.flush()
    os.execvp("ssh", ["ssh", "-F", str(config), *(["-t"] if not words else []), name, *words])  # noqa: S606


def run(
    context: typer.Context,
    command: Annotated[list[str], typer.Argument(help="The command and its arguments.")],
    as_json: AsJson = False,
    timeout: Annotated[float, typer.Option(help="Seconds after which a machine counts as failed.")] = 600,
) -> None:
    """Run a command on all machines at once as `hadoop`; fails when it fails on any of them."""
    from provision.core.names import STORE_HOST
    from provision.ssh import connection

    cluster = invocation_of(context).cluster()
    words = command[1:] if command[:1] == ["--"] else command
    line = words[0] if len(words) == 1 else shlex.join(words)
    names = [name for name in cluster.state.targets() if name != STORE_HOST]
    if not names:
        raise MusterError(what="no machines", where=cluster.spec.name, remedy="Start it with ./muster up")
    with waiting(f"running on {len(names)} machines"):
        results = connection.run_on_all(cluster.state_dir, names, line, timeout_s=timeout)
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
    if not Path(source).expanduser().exists():
        raise MusterError(what="there is no such file or folder", where=source)
    cluster, config = invocation_of(context).ssh_config()
    names = node_names(config)
    local = str(Path(source).expanduser()) + ("/" if source.endswith("/") else "")
    if not target.startswith(HDFS):
        node, path = _remote(target, cluster, names)
        _rsync(config, [local, f"{node}:{path}"])
        return
    master = pick_node("", cluster, names)
    path = target.removeprefix(HDFS).removeprefix("//") or "."
    passing = f"{SCRATCH}/put-{secrets.token_hex(4)}"
    _rsync(config, [local.rstrip("/"), f"{master}:{passing}/"])
    thing = shlex.quote(f"{passing}/{Path(local).name}")
    _hdfs(config, master, f"hdfs dfs -put -f {thing} {shlex.quote(path)}", passing, f"writing {target}")


def get(
    context: typer.Context,
    source: Annotated[str, typer.Argument(help="NODE:PATH or hdfs:PATH.")],
    target: Annotated[str, typer.Argument(help="A file or folder here.")] = ".",
) -> None:
    """Copy a file or folder from a machine or out of HDFS."""
    cluster, config = invocation_of(context).ssh_config()
    names = node_names(config)
    if not source.startswith(HDFS):
        node, path = _remote(source, cluster, names)
        _rsync(config, [f"{node}:{path}", target])
        return
    master = pick_node("", cluster, names)
    path = source.removeprefix(HDFS).removeprefix("//")
    passing = f"{SCRATCH}/get-{secrets.token_hex(4)}"
    name = Path(path).name
    if not name:
        raise MusterError(what="say which file or folder of HDFS", where=source)
    _hdfs(
        config,
        master,
        f"mkdir {passing} && hdfs dfs -get {shlex.quote(path)} {passing}/",
        "",
        f"reading {source}",
        clean=passing,
    )
    try:
        _rsync(config, [f"{master}:{passing}/{name}", target])
    finally:
        _remove(config, master, passing)


def _remote(text: str, cluster: str, names: Sequence[str]) -> tuple[str, str]:
    """Return machine and path of NODE:PATH. Raises MusterError when it is none."""
    node, colon, path = text.partition(":")
    if not colon:
        raise MusterError(
            what="does not say which machine",
            where=text,
            remedy=f"Write master:{text}, or hdfs:{text} for HDFS",
        )
    return pick_node(node, cluster, names), path


def _rsync(config: Path, ends: Sequence[str]) -> None:
    """Copy with rsync over the cluster's ssh_config. Raises CommandFailed."""
    progress = ["--info=progress2"] if sys.stderr.isatty() else []
    command = [
        "rsync",
        "-a",
        "--partial",
        "-s",
        *progress,
        "-e",
        f"ssh -F {shlex.quote(str(config))}",
        "--",
        *ends,
    ]
    with waiting(f"copying {ends[0]}"):
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        reason = next(
            (line for line in done.stderr.splitlines() if line.strip()), f"status {done.returncode}"
        )
        raise CommandFailed(what=f"could not be copied: {reason}", where=ends[0], status=done.returncode)


def _hdfs(config: Path, master: str, script: str, remove: str, what: str, clean: str = "") -> None:
    """Run an HDFS command on the master, drop `remove` afterwards in any case and `clean` on failure."""
    with waiting(what):
        done = subprocess.run(
            ["ssh", "-F", str(config), master, script],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    if remove:
        _remove(config, master, remove)
    if done.returncode:
        if clean:
            _remove(config, master, clean)
        said = [line for line in done.stderr.splitlines() if line.strip() and " WARN " not in line]
        raise CommandFailed(
            what=said[-1] if said else f"status {done.returncode}", where=what, status=done.returncode
        )
    say(f"{what}: done")


def _remove(config: Path, master: str, folder: str) -> None:
    """Remove a passing folder below the scratch folder."""
    subprocess.run(
        ["ssh", "-F", str(config), master, f"rm -rf -- {shlex.quote(folder)}"],
        stdin=subprocess.DEVNULL,
        check=False,
    )
