"""EC2: whole clusters, broken at every call of the API; the same command again converges, nothing is double or left."""

from __future__ import annotations

import random
import shutil
import sys
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.client import BaseClient

from provision.errors import MusterError
from tests.unit.providers.ec2_cloud import Cloud

CHANGING = frozenset(
    {"ImportKeyPair", "CreateSecurityGroup", "AuthorizeSecurityGroupIngress", "RunInstances", "CreateTags"}
    | {"TerminateInstances", "DeleteKeyPair", "DeleteSecurityGroup"}
)
ANSWERS = {
    "lost": "drop-after", "dropped": "drop-before", "500": "500-before", "500 after": "500-after", "throttled": "throttle",
}  # fmt: skip
FAULTS = ["killed before", "killed after", *ANSWERS, "no capacity"]
LATE = range(1, 9)
"""How many lists are without a machine that was just made."""
Moment = tuple[str, int]
"""An action, and which of its calls in one command."""


class KilledError(BaseException):
    """SIGKILL, as far as this process can feel it."""


class Mortal:
    """Lets something go wrong with one call of the API."""

    def __init__(self, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
        self._cloud, self._lock = cloud, threading.Lock()
        self.calls: list[Moment] = []
        self.hit = False
        self.arm()
        real = BaseClient._make_api_call

        def call(client: Any, action: str, told: dict[str, Any]) -> Any:
            with self._lock:
                if self._dead:
                    raise KilledError
                hit = self._note(action)
            answer = real(client, action, told)
            if hit and self._kind == "killed after":
                self._die()
            return answer

        monkeypatch.setattr(BaseClient, "_make_api_call", call)

    def arm(self, moment: Moment | None = None, kind: str = "", *, times: int = 1) -> None:
        """Begin a command: this goes wrong in it, and nothing does that was to go wrong before."""
        if self.hit:
            self._cloud.emulator.faults([])
            self._cloud.emulator.room({"*/*/*": 1_000_000})
        self._moment, self._kind, self._times = moment, kind, times
        self._dead = self.hit = False
        self.calls.clear()

    def _note(self, action: str) -> bool:
        moment = (action, Counter(name for name, _ in self.calls)[action])
        self.calls.append(moment)
        if moment != self._moment:
            return False
        self.hit = True
        if self._kind == "killed before":
            self._die()
        if self._kind in ANSWERS:
            self._cloud.emulator.fault(action, ANSWERS[self._kind], times=self._times)
        if self._kind == "no capacity":
            self._cloud.emulator.room({"*/*/*": 0})
        return True

    def _die(self) -> None:
        self._dead = True
        raise KilledError


@pytest.fixture
def mortal(cloud: Cloud, hurry: None, monkeypatch: pytest.MonkeyPatch) -> Mortal:
    """One attempt a call, as if all others had failed, too."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr("provision.providers.ec2.provider.SETTLING_S", 0.5)
    return Mortal(cloud, monkeypatch)


@dataclass
class Step:
    """A command, and how many machines there are after it."""

    act: Callable[[], object]
    wish: int


def create(cloud: Cloud) -> Step:
    return Step(lambda: cloud.cluster(3).ensure(wish=3), 3)


def grow(cloud: Cloud) -> Step:
    return Step(lambda: cloud.cluster(3).ensure(wish=5), 5)


def shrink(cloud: Cloud) -> Step:
    return Step(lambda: cloud.cluster(3).ensure(wish=3, scale_in=True), 3)


def destroy(cloud: Cloud) -> Step:
    return Step(lambda: cloud.cluster(3).destroy(), 0)


def broken(mortal: Mortal, step: Step, moment: Moment, kind: str, *, times: int = 1) -> None:
    """Run a command in which something goes wrong."""
    mortal.arm(moment, kind, times=times)
    with suppress(MusterError, KilledError):
        step.act()


def look(cloud: Cloud, step: Step) -> None:
    """Compare the books with the wish; forget what is gone."""
    cloud.settled(step.wish)
    if not step.wish:
        assert cloud.emulator.left_over() == []
        assert not list((cloud.folder / "state").glob("*retina*"))
    cloud.emulator.forget()


def moments(cloud: Cloud, mortal: Mortal, step: Step, kind: str, *, others: bool) -> list[Moment]:
    """Run a command in which all goes well; return its calls, those that change something or the others."""
    mortal.arm()
    step.act()
    look(cloud, step)
    found = [moment for moment in mortal.calls if (moment[0] in CHANGING) != others]
    return [moment for moment in found if kind != "no capacity" or moment[0] == "RunInstances"]


@pytest.mark.parametrize(
    "others", [False, pytest.param(True, marks=pytest.mark.long)], ids=["changing", "others"]
)
@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize("there_and_back", [(create, destroy), (grow, shrink)], ids=["create", "scale"])
def test_broken_at_every_call(
    cloud: Cloud, mortal: Mortal, there_and_back: Any, kind: str, others: bool
) -> None:
    """Each command is broken once at each of its calls, then run again, which must be enough."""
    if there_and_back[0] is grow:
        create(cloud).act()
    steps = [step(cloud) for step in there_and_back]
    when = [moments(cloud, mortal, step, kind, others=others) for step in steps]
    assert when[0] or (kind, others) == ("no capacity", True)
    for number in range(max(map(len, when))):
        for step, own in zip(steps, when, strict=True):
            for moment in own[number : number + 1]:
                broken(mortal, step, moment, kind)
                assert mortal.hit, moment
            mortal.arm()
            step.act()
            look(cloud, step)


@pytest.mark.parametrize(
    "kind", [*FAULTS[:3], *(pytest.param(kind, marks=pytest.mark.long) for kind in FAULTS[3:])]
)
def test_destroyed_after_a_broken_create(cloud: Cloud, mortal: Mortal, kind: str) -> None:
    """Also what was made by a call without an answer, and is not listed at once, goes."""
    cloud.emulator.set(unseen_looks=2)
    begin, end = create(cloud), destroy(cloud)
    when = moments(cloud, mortal, begin, kind, others=False)
    end.act()
    for moment in when:
        broken(mortal, begin, moment, kind)
        assert mortal.hit, moment
        mortal.arm()
        end.act()
        look(cloud, end)


@pytest.mark.parametrize("then", [create, destroy])
@pytest.mark.parametrize(
    "kind", ["killed after", pytest.param("lost", marks=pytest.mark.long), pytest.param("500 after", marks=pytest.mark.long)]
)  # fmt: skip
def test_machines_of_an_order_without_an_answer_show_late(
    cloud: Cloud, mortal: Mortal, kind: str, then: Callable[[Cloud], Step]
) -> None:
    """However many lists are without them: repeated, the order makes no others; destroyed, none is left."""
    begin, end = create(cloud), destroy(cloud)
    for looks in LATE:
        for moment in (("RunInstances", 0), ("RunInstances", 1)):
            cloud.emulator.set(unseen_looks=looks)
            broken(mortal, begin, moment, kind)
            assert mortal.hit
            mortal.arm()
            then(cloud).act()
            look(cloud, then(cloud))
            end.act()
            look(cloud, end)


def test_a_refused_repetition_is_no_proof_that_nothing_was_made(cloud: Cloud, mortal: Mortal) -> None:
    """AWS may refuse before it looks at the token, while the first call's machines are not listed yet."""
    begin = create(cloud)
    for looks in LATE:
        cloud.emulator.set(unseen_looks=looks)
        broken(mortal, begin, ("RunInstances", 1), "killed after")
        mortal.arm()
        cloud.emulator.fault("RunInstances", "error", code="UnauthorizedOperation")
        with suppress(MusterError):
            begin.act()
        cloud.emulator.faults([])
        begin.act()
        look(cloud, begin)
        destroy(cloud).act()
        look(cloud, destroy(cloud))
