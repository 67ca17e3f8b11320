"""A change on a node, as root, that is taken back at the end even when nobody can log in any more meanwhile."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from provision.ssh import sharing
from tests.system.lab import Lab


@contextmanager
def changed(lab: Lab, name: str, change: str, undo: str) -> Iterator[None]:
    """Change a node over a session of its own, close all others, and undo it over the same session.

    Args:
        lab: whose node.
        name: the node.
        change: shell commands; the body runs when they have succeeded.
        undo: shell commands, run also when this process dies.
    """
    config = str(lab.state_dir / "ssh_config")
    script = f"{change} && echo changed; read -r line; {undo} && echo undone"
    session = subprocess.Popen(
        ["ssh", "-F", config, "-S", "none", f"muster@{name}", f"sudo bash -c {shlex.quote(script)}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=lab.environment(),
    )
    assert session.stdout
    try:
        assert session.stdout.readline().strip() == "changed"
        sharing.close(lab.state_dir.resolve())
        yield
    finally:
        answer, _ = session.communicate("\n", timeout=30)
        assert "undone" in answer
