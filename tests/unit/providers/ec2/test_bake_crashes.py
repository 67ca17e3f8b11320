"""EC2: baking and removing images, killed at every moment; the same command again converges, nothing bills on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from botocore.client import BaseClient

from provision.cluster import builders, capturing
from provision.core.errors import MusterError
from provision.fleet import own_images
from tests.fakes.bakery import Bakery, open_bakery
from tests.fakes.ec2 import Cloud
from tests.fakes.provider import Clock, KilledError, SilentReporter, make_disk_mortal

CHANGING = (
    "StopInstances",
    "CreateImage",
    "TerminateInstances",
    "CopyImage",
    "DeregisterImage",
    "DeleteSnapshot",
)
FAULTS = ("drop-after", "drop-before", "500-before", "500-after", "throttle")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Counts the moments of this process: each call of the API and each change of the disk, before and after."""
    clock = Clock()
    real = BaseClient._make_api_call

    def call(client: Any, action: str, told: dict[str, Any]) -> Any:
        clock.tick(f"{action}: before")
        answer = real(client, action, told)
        clock.tick(f"{action}: after")
        return answer

    monkeypatch.setattr(BaseClient, "_make_api_call", call)
    make_disk_mortal(monkeypatch, clock)
    return clock


@pytest.fixture
def bakery(cloud: Cloud, hurry: None, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> Bakery:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr("provision.providers.ec2.placing.SETTLING_S", 0.1)
    made = open_bakery(cloud, monkeypatch)
    install, clean = builders.install, capturing.run_on

    def mortal(what: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def step(*given: Any, **more: Any) -> Any:
            clock.tick(f"{what}: before")
            done = real(*given, **more)
            clock.tick(f"{what}: after")
            return done

        return step

    monkeypatch.setattr(builders, "install", mortal("install", install))
    monkeypatch.setattr(capturing, "run_on", mortal("clean", clean))
    return made


def empty(bakery: Bakery) -> None:
    """Begin with an empty account, where images take a while and are not listed at once."""
    bakery.cloud.emulator.reset()
    bakery.cloud.emulator.set(image_s=0.02, unseen_looks=1)


def complete(bakery: Bakery, images: int = 1) -> None:
    """Assert that the images are there once each, and nothing else."""
    books = bakery.cloud.emulator.books()
    assert [image["state"] for image in books["images"]] == ["available"] * images
    assert len({image["region"] for image in books["images"]}) == len(books["snapshots"]) == images
    bakery.no_builder()


def places(*, every: bool) -> list[str]:
    """Return where copies go to in a test."""
    return ["us-east-1"] if every else []


def moments(bakery: Bakery, clock: Clock, *, every: bool) -> list[int]:
    """Bake once; return the moments to be killed at: all, or those after installing that change something."""
    empty(bakery)
    clock.restart()
    bakery.bake(*places(every=every))
    seen = list(clock.seen)
    begin = seen.index("install: after")
    return [
        number
        for number, what in enumerate(seen, start=1)
        if every
        or (number > begin and what.endswith("after") and what.startswith((*CHANGING, "clean", "journal")))
    ]


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.long)])
def test_killed_at_a_moment_and_run_again(bakery: Bakery, clock: Clock, every: bool) -> None:
    for moment in moments(bakery, clock, every=every):
        empty(bakery)
        clock.restart(kill_at=moment)
        with suppress(KilledError):  # the last looks at an image are now more, now fewer
            bakery.bake(*places(every=every))
        clock.restart()
        bakery.bake(*places(every=every))
        complete(bakery, 1 + every)
        assert len(bakery.cloud.emulator.books()["orders"]) <= 2


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.long)])
def test_killed_at_a_moment_and_reaped(bakery: Bakery, clock: Clock, every: bool) -> None:
    for moment in moments(bakery, clock, every=every):
        empty(bakery)
        clock.restart(kill_at=moment)
        with suppress(KilledError):
            bakery.bake(*places(every=every))
        clock.restart()
        capturing.end_builders(capturing.left_builders(), SilentReporter())
        assert bakery.cloud.emulator.left_over() == []
        assert not list((bakery.cloud.folder / "state").glob("bake-*"))


@pytest.mark.parametrize(
    "kind", [FAULTS[0], *(pytest.param(one, marks=pytest.mark.long) for one in FAULTS[1:])]
)
@pytest.mark.parametrize("action", CHANGING[:4])
def test_a_call_that_fails(bakery: Bakery, clock: Clock, action: str, kind: str) -> None:
    empty(bakery)
    bakery.cloud.emulator.fault(action, kind)
    with suppress(MusterError):
        bakery.bake("us-east-1")
    bakery.cloud.emulator.faults([])
    bakery.bake("us-east-1")
    complete(bakery, 2)


def test_removing_killed_at_every_moment(bakery: Bakery, clock: Clock) -> None:
    def remove() -> None:
        other = bakery.cloud.spec(packages={"apt": ["hello"]})
        there = own_images.look([other], lambda *_: bakery.provider())
        assert own_images.remove(there, lambda _: None) == {}

    for moment in range(1, 100):
        empty(bakery)
        bakery.bake()
        clock.restart(kill_at=moment)
        try:
            remove()
        except KilledError:
            clock.restart()
            remove()
        else:
            assert moment > 8
            return
        books = bakery.cloud.emulator.books()
        assert books["images"] == books["snapshots"] == []
    raise AssertionError("it never ended")
