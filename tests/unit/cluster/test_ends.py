"""What the end of a cluster is said to be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from provision.cluster.ends import destroyed_words
from provision.core.model import Outcome
from provision.core.spec import ObjectStoreSpec
from tests.fakes.provider import spec


@pytest.mark.parametrize(
    ("kind", "outcome", "said"),
    [
        ("local", Outcome(), "retina: no machines; nothing left to delete."),
        ("local", Outcome(deleted=("a", "b")), "retina: deleted a, b. The object store stays."),
        ("none", Outcome(deleted=("a",)), "retina: deleted a."),
        (
            "none",
            Outcome(removed=("key pair k", "security group s")),
            "retina: deleted key pair k, security group s.",
        ),
    ],
)
def test_a_destroy_says_what_it_has_deleted(kind: str, outcome: Outcome, said: str) -> None:
    assert destroyed_words(replace(spec(), object_store=ObjectStoreSpec(kind=kind)), outcome) == said
    assert outcome.changed is ("deleted" in said)
