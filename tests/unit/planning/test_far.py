"""Who sees whom across providers: the addresses that far machines let in, and those by which they are reached."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from provision.core.model import Machine
from provision.core.spec import ClusterSpec, ObjectStoreSpec
from provision.planning import far
from tests.fakes.provider import group, machine, spec

HOME, OFFICE = "192.0.2.9/32", "203.0.113.0/24"


def mixed(master: str, other: str, **more: Any) -> ClusterSpec:
    groups = (
        group("master", 1, provider=master),
        group("worker", provider=master),
        group("gpu", 1, provider=other),
    )
    return replace(spec(1), groups=groups, object_store=ObjectStoreSpec(kind="s3"), **more)


def at(name: str, public: str = "") -> Machine:
    return replace(machine(name), public=public, ssh_address="10.0.0.9")


@pytest.mark.parametrize(
    ("master", "public", "allow_from", "seen", "opened"),
    [
        ("softlayer", "198.51.100.4", (), ("198.51.100.4/32",), ("198.51.100.4/32",)),
        ("softlayer", "198.51.100.4", (OFFICE,), ("198.51.100.4/32",), ("198.51.100.4/32",)),
        ("softlayer", "", (OFFICE,), (), ()),  # private only: nobody knows through which gateway it comes
        ("local", "", (), (HOME,), ()),  # as its user does, who is let in already
        ("local", "", (OFFICE,), (OFFICE, HOME), ()),
        ("existing", "198.51.100.4", (OFFICE,), ("198.51.100.4/32",), ("198.51.100.4/32",)),
        ("existing", "", (OFFICE,), (OFFICE,), ()),
        ("existing", "", (), (), ()),  # it need not be where this computer is
    ],
)
def test_as_whom_the_master_is_seen_and_for_whom_more_is_opened(
    master: str, public: str, allow_from: tuple[str, ...], seen: tuple[str, ...], opened: tuple[str, ...]
) -> None:
    wanted = mixed(master, "ec2", allow_from=allow_from)
    machines = [at("retina-gpu-1", "198.51.100.5"), at("retina-master", public)]
    assert far.seen_as(wanted, machines, [HOME]) == seen
    assert far.openings(wanted, machines) == opened


def test_before_there_is_a_master_nobody_is_let_in() -> None:
    assert far.openings(mixed("softlayer", "ec2"), [at("retina-gpu-1", "198.51.100.5")]) == ()


def test_groups_in_the_masters_network_are_not_far() -> None:
    assert far.far_groups(mixed("softlayer", "softlayer")) == []
    assert [one.name for one in far.far_groups(mixed("softlayer", "ec2"))] == ["gpu"]


@pytest.mark.parametrize(
    ("provider", "public", "seen", "why"),
    [
        ("ec2", "198.51.100.5", (HOME,), ""),
        ("ec2", "", (HOME,), "retina-gpu-1 has no public address by which the master could reach it"),
        ("local", "", (HOME,), "retina-gpu-1 has no public address"),
        ("existing", "", (HOME,), ""),  # its owner says how it is reached
        (
            "ec2",
            "198.51.100.5",
            (),
            "the master has no public address that machines at another provider could let in",
        ),
    ],
)
def test_what_takes_no_runs_says_why_and_what_works_there(
    provider: str, public: str, seen: tuple[str, ...], why: str
) -> None:
    found = far.closed(group("gpu", 1, provider=provider), at("retina-gpu-1", public), seen)
    assert found.startswith(why) and bool(found) == bool(why)
    assert not why or found.endswith("./muster run and ./muster put work there")
    assert "\n" not in found
