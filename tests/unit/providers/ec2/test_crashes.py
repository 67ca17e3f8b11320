"""EC2: whole clusters, broken at every call of the API; the same command again converges, nothing is double or left."""

from __future__ import annotations

import os
import random
import sys
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from botocore.client import BaseClient

from provision.core.errors import MusterError
from provision.providers.ec2.client import Clients
from tests.fakes.ec2 import Cloud
from tests.fakes.seeds import each, random_seeds

CHANGING = frozenset(
    {"ImportKeyPair", "CreateSecurityGroup", "AuthorizeSecurityGroupIngress", "RunInstances", "CreateTags"}
    | {"TerminateInstances", "DeleteKeyPair", "DeleteSecurityGroup"}
)
ANSWERS = {
    "lost": "drop-after", "dropped": "drop-before", "500": "500-before", "500 after": "500-after", "throttled": "throttle",
}  # fmt: skip
FAULTS = ["killed before", "killed after", *ANSWERS, "no capacity"]
USUAL = ["killed after", "lost", "no capacity"]
LATE = (1, 2, 4, 7)
"""How many lists are without a machine that was just made."""
Moment = tuple[str, int]  # an action, and which of its calls in one command (the first one is 0)


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
                hit = self._note(f"{action} (dry)" if told.get("DryRun") else action)
            answer = real(client, action, told)
            if hit and self._kind == "killed after":
                self._die()
            return answer

        monkeypatch.setattr(BaseClient, "_make_api_call", call)

    def arm(self, moment: Moment | int | None = None, kind: str = "", *, times: int = 1) -> None:
        """Begin a command: something goes wrong with this call of it, and with no other."""
        if self.hit:
            self._cloud.emulator.faults([])
            self._cloud.emulator.room({"*/*/*": 1_000_000})
        self._moment, self._kind, self._times = moment, kind, times
        self._dead = self.hit = False
        self.calls.clear()

    def _note(self, action: str) -> bool:
        moment = (action, Counter(name for name, _ in self.calls)[action])
        self.calls.append(moment)
        if self._moment not in (moment, len(self.calls)):
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
    monkeypatch.setattr("provision.providers.ec2.placing.SETTLING_S", 2)
    shared: dict[str, dict[str, Any]] = {}
    real = Clients.__init__

    def init(own: Clients, profile: str = "") -> None:
        """Share boto3's session, which is dear and remembers nothing, among all "processes"."""
        real(own, profile)
        own.__dict__ = shared.setdefault(os.environ["AWS_MAX_ATTEMPTS"], own.__dict__)

    monkeypatch.setattr(Clients, "__init__", init)
    return Mortal(cloud, monkeypatch)


@dataclass
class Step:
    """A command, and how many machines there are after it."""

    act: Callable[[], object]
    wish: int


def create(cloud: Cloud) -> Step:
    return Step(lambda: cloud.cluster(3).ensure(), 3)


def grow(cloud: Cloud) -> Step:
    return Step(lambda: cloud.cluster(5).ensure(), 5)


def shrink(cloud: Cloud) -> Step:
    return Step(lambda: cloud.cluster(3).ensure(scale_in=True), 3)


def destroy(cloud: Cloud) -> Step:
    return Step(lambda: cloud.cluster(3).destroy(), 0)


def broken(mortal: Mortal, step: Step, moment: Moment | int, kind: str, *, times: int = 1) -> None:
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


def usual(moment: Moment) -> bool:
    """Return whether a call is broken in the usual tests, too; all others are with `--long`."""
    return moment[0] == "RunInstances" or (moment[0] in CHANGING and moment[1] == 0)


def moments(cloud: Cloud, mortal: Mortal, step: Step, kind: str, *, others: bool) -> list[Moment]:
    """Run a command in which all goes well; return the calls of it that are to be broken."""
    mortal.arm()
    step.act()
    look(cloud, step)
    when = [moment for moment in mortal.calls if usual(moment) != others]
    return [moment for moment in when if kind != "no capacity" or moment[0] == "RunInstances"]


def both(test: Callable[..., None]) -> Callable[..., None]:
    """Parametrize a test by what goes wrong, and by whether that is at the usual calls or at the others."""
    long = pytest.mark.long
    cases = [
        pytest.param(kind, others, marks=long if others or kind not in USUAL else (), id=f"{kind}{' elsewhere' * others}")
        for kind in FAULTS
        for others in (False, True)
        if (kind, others) != ("no capacity", True)
    ]  # fmt: skip
    return pytest.mark.parametrize(("kind", "others"), cases)(test)


def broken_everywhere(
    cloud: Cloud, mortal: Mortal, steps: Sequence[Step], kind: str, *, others: bool
) -> None:
    """Break each command once at each of its calls, in turn; run again, which must be enough."""
    when = [moments(cloud, mortal, step, kind, others=others) for step in steps]
    assert when[0]
    for number in range(max(map(len, when))):
        for step, own in zip(steps, when, strict=True):
            for moment in own[number : number + 1]:
                broken(mortal, step, moment, kind)
                assert mortal.hit, moment
            mortal.arm()
            step.act()
            look(cloud, step)


@both
def test_create_and_destroy(cloud: Cloud, mortal: Mortal, kind: str, others: bool) -> None:
    broken_everywhere(cloud, mortal, [create(cloud), destroy(cloud)], kind, others=others)


@both
def test_grow_and_shrink(cloud: Cloud, mortal: Mortal, kind: str, others: bool) -> None:
    create(cloud).act()
    broken_everywhere(cloud, mortal, [grow(cloud), shrink(cloud)], kind, others=others)


@both
def test_destroyed_after_a_broken_create(cloud: Cloud, mortal: Mortal, kind: str, others: bool) -> None:
    """Also what was made by a call without an answer, and is not listed at once, goes."""
    cloud.emulator.set(unseen_looks=2)
    begin, end = create(cloud), destroy(cloud)
    when = moments(cloud, mortal, begin, kind, others=others)
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


@pytest.mark.parametrize(
    "code", ["UnauthorizedOperation", "InsufficientInstanceCapacity", "VcpuLimitExceeded"]
)
def test_a_refused_repetition_is_no_proof_that_nothing_was_made(
    cloud: Cloud, mortal: Mortal, code: str
) -> None:
    """AWS may refuse before it looks at the token, while the first call's machines are not listed yet."""
    workers = {"worker": {"instance_type": ["t3.small", "t3.medium"], "data_disk_gb": 10}}
    begin = Step(lambda: cloud.cluster(3, groups=workers).ensure(), 3)
    for looks in LATE[::2]:
        cloud.emulator.set(unseen_looks=looks)
        broken(mortal, begin, ("RunInstances", 1), "killed after")
        mortal.arm()
        cloud.emulator.fault("RunInstances", "error", code=code)
        with suppress(MusterError):
            begin.act()
        cloud.emulator.faults([])
        begin.act()
        look(cloud, begin)
        destroy(cloud).act()
        look(cloud, destroy(cloud))


def test_a_list_that_fails_after_a_repetition_is_no_proof_either(cloud: Cloud, mortal: Mortal) -> None:
    """The machine exists and is not listed yet; the order stays open, or its host key could not be pinned."""
    begin = Step(lambda: cloud.cluster(1).ensure(), 1)
    for looks in (1, 2, 3):
        cloud.emulator.set(unseen_looks=looks)
        broken(mortal, begin, ("CreateSecurityGroup", 0), "killed before")
        broken(mortal, begin, ("DescribeInstances", 1), "500")
        assert mortal.hit and mortal.calls.index(("RunInstances", 0)) < mortal.calls.index(
            ("DescribeInstances", 1)
        )
        mortal.arm()
        begin.act()
        look(cloud, begin)
        destroy(cloud).act()
        look(cloud, destroy(cloud))


def random_run(cloud: Cloud, mortal: Mortal, patch: pytest.MonkeyPatch, seed: int) -> int:
    """Start, scale and destroy in a random order while random calls fail; return how many faults there were."""
    dice = random.Random(seed)  # noqa: S311  not for secrets
    late = {"unseen_looks": dice.choice([0, 0, 1, 2, 5]), "pending_s": dice.choice([0, 0, 0.03])}
    late["late_disks"] = dice.choice([0, 0, 1, 3])
    cloud.emulator.set(**late, shutting_down_s=dice.choice([0, 0, 0.03]))
    worker = {"instance_type": ["t3.small", "t3.medium"], "data_disk_gb": 10, "spot": dice.random() < 0.3}
    patch.setenv("AWS_MAX_ATTEMPTS", str(dice.choice([1, 1, 2])))
    faults = 0

    def step(wish: int) -> Step:
        cluster = cloud.cluster(wish or 3, groups={"worker": worker})
        return Step(
            partial(cluster.ensure, scale_in=True) if wish else cluster.destroy,
            wish,
        )

    for _ in range(dice.randint(1, 3)):
        wanted = dice.choice([0, 1, 2, 3, 4])
        broken(mortal, step(wanted), dice.randint(1, 25), dice.choice(FAULTS), times=dice.randint(1, 2))
        faults += mortal.hit
    for wish in (dice.randint(1, 4), 0):
        mortal.arm()
        step(wish).act()
        look(cloud, step(wish))
    return faults


@random_seeds
def test_random_runs(
    cloud: Cloud,
    mortal: Mortal,
    seeds: range,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    faults = 0
    for seed in each(seeds):
        cloud.emulator.reset()  # it gets slower with all that ever was
        faults += random_run(cloud, mortal, monkeypatch, seed)
    assert faults >= len(seeds), "most faults came after the last call"
    with capsys.disabled():
        sys.stdout.write(f" EC2: {len(seeds)} runs, {faults} faults injected, 0 violations ")
