"""Which machines make images."""

from __future__ import annotations

import pytest

from provision.cluster import baking
from provision.providers.local.helper.nodes import BUILDER


@pytest.mark.parametrize(
    ("name", "builder"),
    [
        (f"{baking.BUILDER}0f3b0b15", True),
        ("image-eyes", False),
        ("image-0f3b0b150", False),
        ("retina", False),
    ],
)
def test_a_cluster_of_the_users_own_is_no_builder(name: str, builder: bool) -> None:
    """A builder's changes have no disk of their own, with its limit, as they become a layer."""
    assert bool(BUILDER.fullmatch(name)) is builder
