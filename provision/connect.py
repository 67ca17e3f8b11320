"""From machines that exist to machines that answer: pinned host keys, known_hosts, ssh_config."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from provision import hostkey, trust
from provision.core import files
from provision.core.errors import HostKeyMismatch, MusterError, StateError, Unreachable
from provision.core.model import Machine
from provision.core.names import JOB_USER, LOGIN_USER, STORE_HOST
from provision.core.paths import control_path
from provision.core.templates import render
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

    adopt = staticmethod(trust.adopt)
    check = staticmethod(trust.check)

    @staticmethod
    def tell(state: State, names: Sequence[str], command: str) -> dict[str, str]:
        """See `Trust.tell`."""
        done = trust.run_on_all(state.folder, names, f"sudo {command}", user=LOGIN_USER, timeout_s=TELL_S)
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


def write_ssh_files(state: State, cluster_id: str) -> None:
    """Write known_hosts and ssh_config from the snapshot and the pinned keys."""
    targets = state.targets()
    lines = "".join(f"{target.name} {target.host_key}\n" for target in targets.values())
    files.write_if_changed(state.known_hosts, lines)
    hosts = [
        {
            "name": target.name,
            "address": target.address,
            "jump": trust.jump_command(target.jump),
            "user": LOGIN_USER if target.name == STORE_HOST else JOB_USER,
        }
        for target in targets.values()
    ]
    control = control_path(cluster_id)
    Path(control).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    text = render(
        "ssh_config.j2",
        path=state.ssh_config,
        hosts=hosts,
        key_file=state.key_file,
        known_hosts=state.known_hosts,
        control_path=control,
    )
    files.write_if_changed(state.ssh_config, text)


def close_shared_connections(cluster_id: str) -> None:
    """End the SSH connections that stay open in the background for reuse."""
    for path in Path(control_path(cluster_id)).parent.glob(f"{cluster_id}-*"):
        subprocess.run(
            ["ssh", "-o", f"ControlPath={path}", "-O", "exit", "muster"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        path.unlink(missing_ok=True)


def raise_first(errors: Iterable[tuple[str, MusterError]], *, reached: Sequence[str]) -> None:
    """Raise what went wrong with single machines, if anything: one line that names all of them."""
    found = dict(errors)
    if not found:
        return
    for error in found.values():
        if isinstance(error, HostKeyMismatch):
            raise error
    if len(found) == 1:
        raise next(iter(found.values()))
    first = next(iter(found.values()))
    raise Unreachable(
        machines=sorted(found),
        what=f"{len(found)} machines failed, {len(reached)} are fine; the first one: {first.what}",
        remedy=first.remedy,
    )
