"""The errors of Muster: one small tree, keyword-only fields, one line each.

`str(error)` always says what happened, which machine or key it is about and what to do next.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from provision.core.terminal import printable


def one_line(text: str) -> str:
    """Return `text` as can be printed, every run of white space (line breaks included) as one space."""
    return " ".join(printable(text).split())


class MusterError(Exception):
    """Base of every error that a user may see.

    Fields: `what` happened, `where` (a machine, file or key; or ''), `remedy` (what to do; or '').
    """

    exit_status = 1

    def __init__(self, *, what: str, where: str = "", remedy: str = "") -> None:
        self.what = one_line(what)
        self.where = one_line(where)
        self.remedy = one_line(remedy)
        super().__init__(self.what)

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        if not self.remedy:
            return head
        return f"{head.rstrip('.')}. {self.remedy}"


class ConfigError(MusterError):
    """A config file (or an `-e` value that overrides it) is wrong.

    Fields: `file`, `key` (a path such as `groups.worker.cores`; empty when the whole file is meant).
    """

    def __init__(self, *, file: Path | str, what: str, key: str = "", remedy: str = "") -> None:
        self.file = Path(file)
        self.key = key
        super().__init__(what=what, where=f"{file}: {key}" if key else str(file), remedy=remedy)


class NotReady(MusterError):
    """A provider cannot do what the plan asks (rights, memory, disk, subnet, quota); nothing was changed."""


class PlanRefused(MusterError):
    """The plan would do something that the user has not asked for; nothing was changed."""


class StateError(MusterError):
    """The state folder of a cluster is missing, of another format or damaged."""


class LeaseHeld(MusterError):
    """Another living command works on the same cluster. Field: `owner_pid`."""

    def __init__(self, *, what: str, where: str, remedy: str, owner_pid: int) -> None:
        self.owner_pid = owner_pid
        super().__init__(what=what, where=where, remedy=remedy)


class OwnerGone(MusterError):
    """The command that this process works for has ended; nothing more may be ordered or deleted."""


class ProviderError(MusterError):
    """A provider's call failed. Field: `provider`."""

    def __init__(self, *, provider: str, what: str, where: str = "", remedy: str = "") -> None:
        self.provider = provider
        super().__init__(what=what, where=where, remedy=remedy)


class OutcomeUnknown(ProviderError):
    """A create call may or may not have been carried out (a lost reply); its intent must stay open."""


class NoCapacity(ProviderError):
    """The provider has no room for these machines now (every alternative was tried); later it may."""


class Unreachable(MusterError):
    """Machines did not become reachable in time. Field: `machines` (their names)."""

    def __init__(self, *, machines: Sequence[str], what: str, where: str = "", remedy: str = "") -> None:
        self.machines = tuple(machines)
        super().__init__(what=what, where=where or ", ".join(machines), remedy=remedy)


class HostKeyMismatch(MusterError):
    """A machine shows a host key that is not the pinned one. Field: `machine`."""

    def __init__(self, *, machine: str, what: str, remedy: str) -> None:
        self.machine = machine
        super().__init__(what=what, where=machine, remedy=remedy)


class HostKeyUnknown(NotReady):
    """Hosts show host keys that nobody has approved yet. Field: `keys` (address -> `ssh-ed25519 AAAA…`)."""

    def __init__(self, *, keys: Mapping[str, str], what: str, where: str, remedy: str) -> None:
        self.keys = dict(keys)
        super().__init__(what=what, where=where, remedy=remedy)


class CommandFailed(MusterError):
    """A program on this computer or on a node ended with an error. Fields: `status`, `output`."""

    def __init__(
        self, *, what: str, where: str = "", remedy: str = "", status: int = 1, output: str = ""
    ) -> None:
        self.status = status
        self.output = output
        super().__init__(what=what, where=where, remedy=remedy)


class TimedOut(MusterError):
    """A condition did not come true before its deadline. Field: `seconds`."""

    def __init__(self, *, what: str, seconds: float, where: str = "", remedy: str = "") -> None:
        self.seconds = seconds
        super().__init__(what=what, where=where, remedy=remedy)


class BadJob(MusterError):
    """What is to be submitted is not there or not usable; nothing was submitted."""


class StoreError(MusterError):
    """The object store does not answer, or refuses a request."""


class DatasetError(MusterError):
    """A data set, or the folder that it comes from, is not as it must be; nothing was changed."""


class Unproved(MusterError):
    """verify did not end with a proof. `exit_status`: 1 something is short, 2 could not check."""

    def __init__(self, *, what: str, where: str, exit_status: int) -> None:
        super().__init__(what=what, where=where)
        self.exit_status = exit_status


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


class NotAllReaped(MusterError):
    """Some of the clusters that should have gone are still there."""
