"""The machines of a cluster that is spread over providers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from threading import Barrier

import pytest

from provision.cluster.listing import Listing
from provision.core.errors import ProviderError
from provision.core.model import ClusterIdentity, Machine
from provision.state.folder import State
from tests.fakes.provider import FakeProvider, World, group, spec

MIXED = replace(spec(), groups=(*spec().groups, group("gpu", 1, provider="ec2")))


def test_all_providers_are_asked_at_the_same_time(tmp_path: Path) -> None:
    both = Barrier(2)

    class Waiting(FakeProvider):
        def list(self, cluster: ClusterIdentity) -> list[Machine]:
            both.wait(timeout=20)
            return super().list(cluster)

    listing = Listing(
        MIXED, State(tmp_path).journal, ClusterIdentity("retina", "0" * 8), lambda _: Waiting(World(), MIXED)
    )
    assert listing.machines() == [] and not both.broken


def test_one_that_cannot_be_asked_is_an_error(tmp_path: Path) -> None:
    def provider(name: str) -> FakeProvider:
        if name == "ec2":
            raise ProviderError(provider="ec2", what="no credentials")
        return FakeProvider(World(), MIXED)

    listing = Listing(MIXED, State(tmp_path).journal, ClusterIdentity("retina", "0" * 8), provider)
    with pytest.raises(ProviderError, match="no credentials"):
        listing.machines()
