"""Deleting machines and seeing them gone, which a provider's own word for it does not prove."""

from __future__ import annotations

from collections.abc import Sequence

from provision.core.errors import ProviderError
from provision.core.model import ClusterIdentity, Machine, NodeState
from provision.core.text import names_of
from provision.core.wait import until
from provision.providers.base import Provider, Texts


def delete(
    provider: Provider, cluster: ClusterIdentity, machines: Sequence[Machine], *, gone_s: float, again: str
) -> Texts:
    """Delete machines and confirm that none of them is left; return what else went, in words.

    Args:
        provider: theirs.
        cluster: theirs.
        machines: without any, the provider still removes what an interrupted delete left over.
        gone_s: seconds until they must be gone.
        again: what the user does when they are not.

    Raises:
        ProviderError: the same call again goes on.
    """
    removed = provider.delete(cluster, machines)
    ids = {machine.provider_id for machine in machines}

    def gone() -> bool:
        return not any(machine.provider_id in ids for machine in left(provider, cluster))

    if not until(gone, deadline_s=gone_s, interval_s=0.5):
        raise ProviderError(
            provider=provider.name,
            where=names_of([machine.name for machine in machines]),
            what=f"not all are gone {gone_s:g} s after deleting",
            remedy=again,
        )
    return removed


def left(provider: Provider, cluster: ClusterIdentity) -> list[Machine]:
    """Return the machines of a cluster that there are at a provider. Raises ProviderError."""
    return [machine for machine in provider.list(cluster) if machine.state is not NodeState.GONE]
