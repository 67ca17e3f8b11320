"""What all steps of one verb share: made once, when the verb holds the cluster's lease, and handed on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from provision.cluster.store import StoreLink
from provision.core.errors import Unreachable
from provision.core.model import ClusterIdentity
from provision.core.reporter import Reporter
from provision.core.spec import ClusterSpec
from provision.providers.base import Provider
from provision.ssh.pinning import Reach
from provision.state.folder import State


@dataclass(frozen=True)
class Run:
    """One verb at work on one cluster.

    Fields: `spec` (the config), `state` and `identity` (the cluster's), `provider` (returns one by name),
    `reporter` (told phases and progress), `reach` (the way to its machines), `stores` (the tie to its object
    store), `guard` (raises OwnerGone when this process must not call a provider any more).
    """

    spec: ClusterSpec
    state: State
    identity: ClusterIdentity
    provider: Callable[[str], Provider]
    reporter: Reporter
    reach: Reach
    stores: StoreLink
    guard: Callable[[], None]

    def tell(self, names: Sequence[str], command: str, *, what: str, remedy: str) -> None:
        """Run a command as root on machines, all at once.

        Args:
            names: the machines'.
            command: for a shell.
            what: for the error, what is wrong now on machines where it failed.
            remedy: what to do then.

        Raises:
            Unreachable: it failed on some, of which one and its reason are named.
        """
        failed = self.reach.run_as_root(self.state, names, command) if names else {}
        if failed:
            name, why = min(failed.items())
            reason = f"{what}; {name}: {why.strip() or 'no reason given'}"
            raise Unreachable(machines=sorted(failed), what=reason, remedy=remedy)
