"""From machines that exist to machines that answer: their host keys are pinned, never trusted unseen.

`connection` is imported where machines are reached: it needs paramiko, which is slow to import.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

from provision.core.errors import StateError
from provision.core.model import Machine
from provision.core.names import LOGIN_USER
from provision.ssh import hostkey, sharing
from provision.state.folder import State, Target, target_of
from provision.state.journal import View

COMMAND_S = 30.0
"""Seconds that a command on a machine may take."""


def known_key(machine: Machine, view: View, *, labels: bool = True) -> str:
    """Return a machine's own host key; '' when nobody has learnt it yet.

    Pinned here; told by the user, of a machine that was there before Muster; or written as a label by the
    checkout that has made it, where `labels` count.
    """
    found = view.pins.get(machine.provider_id) or machine.host_key
    return found or (hostkey.of(machine) if labels else "")


class Reach:
    """How this computer reaches a cluster's machines over SSH: the one place that does, while it is made."""

    def reach(
        self,
        state: State,
        machine: Machine,
        bootstrap: str | None,
        view: View,
        *,
        deadline_s: float,
        stop: Callable[[], None],
    ) -> None:
        """Wait for one machine and pin its host key.

        Args:
            state: the cluster's.
            machine: has an address.
            bootstrap: the key of its create call (`TYPE BASE64`) while that is open, else None.
            view: what the journal says.
            deadline_s: seconds until it must answer.
            stop: raises when this process must not go on.

        Raises:
            HostKeyMismatch, Unreachable, CommandFailed, StateError.
        """
        own = known_key(machine, view, labels=bootstrap is None)
        if own and machine.provider_id not in view.pins:
            state.journal.pin(machine.provider_id, own)
        if own:
            unfinished = bootstrap is not None and not machine.host_key
            target = target_of(machine, own)
            self.check(target, state.key_file, deadline_s=deadline_s, unfinished=unfinished, stop=stop)
            return
        if bootstrap is None:
            raise StateError(
                where=machine.name,
                what="its host key was never pinned and cannot be checked any more",
                remedy="Run destroy_cluster.yml, then start_cluster.yml",
            )

        def pinned(key: str) -> None:
            state.journal.pin(machine.provider_id, key)

        target = target_of(machine, bootstrap)
        self.pin_own_key(target, state.key_file, deadline_s=deadline_s, pinned=pinned, stop=stop)

    def pin_own_key(
        self,
        target: Target,
        key_file: Path,
        *,
        deadline_s: float,
        pinned: Callable[[str], None],
        stop: Callable[[], None],
    ) -> str:
        """Reach a machine by its bootstrap key and pin its own; see `connection.pin_own_key`."""
        from provision.ssh import connection

        return connection.pin_own_key(target, key_file, deadline_s=deadline_s, pinned=pinned, stop=stop)

    def check(
        self, target: Target, key_file: Path, *, deadline_s: float, unfinished: bool, stop: Callable[[], None]
    ) -> None:
        """Reach a machine whose own key is known; see `connection.check`."""
        from provision.ssh import connection

        connection.check(target, key_file, deadline_s=deadline_s, unfinished=unfinished, stop=stop)

    def run_as_root(self, state: State, names: Sequence[str], command: str) -> dict[str, str]:
        """Run a command as root on machines; return what went wrong, by machine."""
        from provision.ssh import connection

        done = connection.run_on_all(
            state.folder, names, f"sudo {command}", user=LOGIN_USER, timeout_s=COMMAND_S
        )
        return {name: result.stderr for name, result in done.items() if result.status}

    def ask_as_root(self, state: State, target: Target, script: str, *, timeout_s: float) -> str:
        """Run a shell script as root on one machine; return what it prints.

        Raises:
            HostKeyMismatch, Unreachable, CommandFailed.
        """
        from provision.ssh import connection

        command = f"sudo sh -c {shlex.quote(script)}"
        return connection.answer(target, state.key_file, command, timeout_s=timeout_s)

    def close_shared(self, state: State) -> None:
        """End the SSH connections to a cluster that stay open in the background for reuse."""
        sharing.close(state.folder)
