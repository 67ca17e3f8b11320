"""Programs on machines, by the cluster's own ssh_config."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

from provision.core.errors import CommandFailed, MusterError
from provision.core.text import last_line


def node_names(config: Path) -> list[str]:
    """Return the machines that an ssh_config names, in its order."""
    names: list[str] = []
    for line in config.read_text(encoding="utf-8").splitlines():
        words = line.split()
        if words[:1] == ["Host"]:
            names += [word for word in words[1:2] if not set(word) & set("*?!")]  # then its address
    return names


def pick_node(given: str, cluster: str, names: Sequence[str]) -> str:
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


def on_master(config: Path, master: str, script: str, *, timeout_s: float = 30) -> str:
    """Run a shell script on the master as `hadoop`; return its output. Raises CommandFailed."""
    import subprocess

    try:
        done = subprocess.run(
            ["ssh", "-F", str(config), "-o", "BatchMode=yes", "-o", "ConnectTimeout=5", master, "sh", "-s"],
            input=script, capture_output=True, text=True, timeout=timeout_s, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise CommandFailed(what=f"no answer within {timeout_s:.0f} s", where=master) from None
    if done.returncode:
        raise CommandFailed(
            what=last_line(done.stderr) or f"ended with status {done.returncode}",
            where=master,
            status=done.returncode,
        )
    return done.stdout
