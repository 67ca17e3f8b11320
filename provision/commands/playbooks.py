"""Running Ansible's playbooks as they are, with the Ansible of this environment."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from provision.core import programs
from provision.core.errors import CommandFailed
from provision.core.paths import PROJECT


def play(
    playbooks: Sequence[str],
    inventory: Path,
    extra: Mapping[str, Any],
    more: Sequence[str] = (),
    *,
    output_to_stderr: bool = False,
) -> int:
    """Run playbooks with their own output kept; return the exit status. Ctrl-C lets Ansible end first.

    `output_to_stderr` keeps standard output free for a result (`--json`).
    """
    process = subprocess.Popen(
        programs.playbook(playbooks, inventory, extra, more),
        cwd=PROJECT,
        env=programs.playbook_environment(),
        stdout=sys.stderr.fileno() if output_to_stderr else None,
    )
    interrupted = False
    while True:
        try:
            status = process.wait()
            break
        except KeyboardInterrupt:
            interrupted = True
    if interrupted:
        raise KeyboardInterrupt
    return status


def play_or_fail(
    playbooks: Sequence[str], inventory: Path, extra: Mapping[str, Any], more: Sequence[str] = ()
) -> None:
    """Run playbooks. Raises CommandFailed when they fail (Ansible has said why)."""
    status = play(playbooks, inventory, extra, more)
    if status:
        raise CommandFailed(
            what=f"{' + '.join(playbooks)} failed (status {status}); the reason is above",
            remedy="Correct it and run the same command again: it goes on where it stopped",
            status=status,
        )
