"""What all steps of one verb share: made once, when the verb holds the cluster's lease, and handed on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from provision.cluster.store import StoreLink
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
