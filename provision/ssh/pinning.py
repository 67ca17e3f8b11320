"""From machines that exist to machines that answer: pinned host keys, known_hosts, ssh_config."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from provision.core.errors import StateError
from provision.core.model import Machine
from provision.core.names import LOGIN_USER
from provision.ssh import connection, hostkey
from provision.state.folder import State, Target, target_of
from provision.state.journal import View

TELL_S = 30.0


class Trust(Protocol):
    """How machines are reached; `trust` is the real one, tests have another."""

    def adopt(
        self,
        target: Target,
        key_file: Path,
        *,
        deadline_s: float,
        pinned: Callable[[str], None],
        stop: Callable[[], None],
    ) -> str:
        """See `trust.adopt`."""
        ...

    def check(
        self, target: Target, key_file: Path, *, deadline_s: float, unfinished: bool, stop: Callable[[], None]
    ) -> None:
        """See `trust.check`."""
        ...

    def tell(self, state: State, names: Sequence[str], command: str) -> dict[str, str]:
        """Run a command as root on machines; return what went wrong, by machine."""
        ...


class RealTrust:
    """Reaches machines with paramiko."""

    adopt = staticmethod(connection.adopt)
    check = staticmethod(connection.check)

    @staticmethod
    def tell(state: State, names: Sequence[str], command: str) -> dict[str, str]:
        """See `Trust.tell`."""
        done = connection.run_on_all(
            state.folder, names, f"sudo {command}", user=LOGIN_USER, timeout_s=TELL_S
        )
        return {name: result.stderr for name, result in done.items() if result.status}


@dataclass
class Connector:
    """Makes sure that machines answer and are who they say. `guard` raises when this process must stop."""

    state: State
    trust: Trust
    guard: Callable[[], None]

    def reach(self, machine: Machine, bootstrap: str | None, view: View, *, deadline_s: float) -> None:
        """Wait for one machine and pin its key; `bootstrap` is the key of its create call while that is open.

        Raises:
            HostKeyMismatch, Unreachable, CommandFailed, StateError.
        """
        own = view.pins.get(machine.provider_id)
        if own is None and machine.host_key:  # a machine that was there before Muster
            self.state.journal.pin(machine.provider_id, machine.host_key)
            own = machine.host_key
        if own is None and bootstrap is None and (told := hostkey.of(machine)):
            own = told
            self.state.journal.pin(machine.provider_id, own)  # another checkout has made this machine
        if own is not None:
            self.trust.check(
                target_of(machine, own),
                self.state.key_file,
                deadline_s=deadline_s,
                unfinished=bootstrap is not None and not machine.host_key,
                stop=self.guard,
            )
            return
        if bootstrap is None:
            raise StateError(
                where=machine.name,
                what="its host key was never pinned and cannot be checked any more",
                remedy="Run destroy_cluster.yml, then start_cluster.yml",
            )

        def pinned(key: str) -> None:
            self.state.journal.pin(machine.provider_id, key)

        target = target_of(machine, bootstrap)
        self.trust.adopt(target, self.state.key_file, deadline_s=deadline_s, pinned=pinned, stop=self.guard)

    def reach_store(self, target: Target, *, deadline_s: float) -> None:
        """Wait for the object store's machine, whose host key its provider has told."""
        self.trust.check(
            target, self.state.key_file, deadline_s=deadline_s, unfinished=False, stop=self.guard
        )
