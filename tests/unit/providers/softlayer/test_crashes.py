"""Whole clusters on the emulated account, broken at every call: the same command again converges, nothing is double."""

from __future__ import annotations

import random
import shutil
import sys
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from provision.core.errors import MusterError, NotReady, OutcomeUnknown, Unreachable
from provision.providers.softlayer.client import Api
from tests.fakes.seeds import each, random_seeds
from tests.fakes.softlayer import Account, KilledError

Three = ["retina-master", "retina-worker-1", "retina-worker-2"]
FAULTS = ["killed before", "killed after", "lost", "dropped", "500", "500 after", "throttled"]
LONG = ("dropped", "500", "500 after", "throttled")
"""At every moment they take long; the random runs have them as well."""
AT_EVERY_MOMENT = [pytest.param(one, marks=pytest.mark.long) if one in LONG else one for one in FAULTS]


class Mortal:
    """Lets something go wrong with the n-th call of the API; counts them."""

    def __init__(self, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
        self.account = account
        self.calls: list[str] = []
        self._at, self._kind, self._dead = 0, "", False
        self._lock = threading.Lock()
        real = Api.call

        def call(api: Api, service: str, method: str, *args: Any, **more: Any) -> Any:
            with self._lock:
                if self._dead:
                    raise KilledError
                self.calls.append(method)
                hit = len(self.calls) == self._at
                if hit and self._kind == "killed before":
                    self._dead = True
                    raise KilledError
                if hit and not self._kind.startswith("killed"):
                    account.emulator.fault(method, self._kind)
            answer = real(api, service, method, *args, **more)
            if hit and self._kind == "killed after":
                self._dead = True
                raise KilledError
            return answer

        monkeypatch.setattr(Api, "call", call)

    def again(self, at: int = 0, kind: str = "") -> None:
        self.calls, self._at, self._kind, self._dead = [], at, kind, False


@pytest.fixture
def mortal(account: Account, monkeypatch: pytest.MonkeyPatch) -> Mortal:
    return Mortal(account, monkeypatch)


def until_done(act: Callable[[], object]) -> int:
    """Run a command again until it succeeds, as a person would; return how often it failed."""
    for failed in range(4):
        try:
            act()
        except (MusterError, KilledError):
            continue
        return failed
    raise AssertionError("the command never came to an end")


def everywhere(
    account: Account, mortal: Mortal, kind: str, prepare: Callable[[], object], act: Callable[[], object]
) -> int:
    """Let every single call of `act` go wrong in turn; check the books after each; return how many there were."""
    for moment in range(1, 200):
        mortal.again()
        until_done(prepare)
        account.emulator.faults.clear()
        mortal.again(moment, kind)
        hit = False
        for _ in range(4):
            try:
                act()
            except (MusterError, KilledError):
                hit = hit or len(mortal.calls) >= moment
                mortal.again()
                continue
            break
        else:
            raise AssertionError(f"{kind} at call {moment}: no end")
        ended = not hit and len(mortal.calls) < moment
        mortal.again()
        assert account.books.violations == [], f"{kind} at call {moment}"
        look_and_forget(account, f"{kind} at call {moment}")
        if ended:
            return moment - 1
    raise AssertionError("it never ended")


def look_and_forget(account: Account, where: str) -> None:
    """Forget a cluster between two moments, once its books were looked at."""
    assert account.books.billing() in (Three, [*Three, "retina-worker-3"], []), where
    until_done(lambda: account.cluster().destroy())
    assert account.books.billing() == [] and account.books.security.groups == {}, where
    account.books.orders.clear()
    shutil.rmtree(account.folder / ".muster", ignore_errors=True)


@pytest.mark.parametrize("kind", [*AT_EVERY_MOMENT, "half"])
def test_create(account: Account, mortal: Mortal, kind: str) -> None:
    def create() -> None:
        account.cluster().ensure()
        assert account.books.billing() == Three

    assert everywhere(account, mortal, kind, lambda: None, create) >= 10


@pytest.mark.parametrize("kind", ["killed after", "lost"])
def test_create_when_guests_show_late(account: Account, mortal: Mortal, kind: str) -> None:
    account.books.delays.visible = 0.03

    def create() -> None:
        account.cluster().ensure()
        assert account.books.billing() == Three

    assert everywhere(account, mortal, kind, lambda: None, create) >= 10


@pytest.mark.parametrize("kind", AT_EVERY_MOMENT)
def test_scale(account: Account, mortal: Mortal, kind: str) -> None:
    def scale() -> None:
        account.cluster(4).ensure()
        assert account.books.billing() == [*Three, "retina-worker-3"]

    assert everywhere(account, mortal, kind, lambda: account.cluster().ensure(), scale) >= 5


@pytest.mark.parametrize("kind", AT_EVERY_MOMENT)
def test_destroy(account: Account, mortal: Mortal, kind: str) -> None:
    def destroy() -> None:
        account.cluster().destroy()
        assert account.books.billing() == []

    assert everywhere(account, mortal, kind, lambda: account.cluster().ensure(), destroy) >= 5


def test_an_order_that_shows_late_is_not_placed_again(account: Account) -> None:
    account.books.delays.visible = 0.06
    account.emulator.fault("createObjects", "lost")
    with pytest.raises(OutcomeUnknown):
        account.cluster().ensure()
    account.cluster().ensure()
    assert account.books.billing() == Three and account.books.violations == []


def test_an_order_that_shows_late_is_destroyed_too(account: Account) -> None:
    account.books.delays.visible = 0.06
    account.emulator.fault("createObjects", "lost")
    with pytest.raises(OutcomeUnknown):
        account.cluster().ensure()
    account.cluster().destroy()
    assert account.books.billing() == [] and account.books.guests == {}


def test_new_guests_that_are_not_listed_yet_are_waited_for(account: Account) -> None:
    account.books.delays.visible = 0.06
    account.cluster().ensure()
    assert account.cluster().view.plan().empty
    assert account.books.billing() == Three


def test_a_late_guest_is_adopted(account: Account) -> None:
    """After the deadline it stays; the next run takes it as it comes and orders nothing."""
    account.emulator.machines.hold = True
    with pytest.raises(MusterError, match="no address after 0.3 s. Run the same command again"):
        account.cluster(deadlines={"boot": 0.3, "settle": 0.1}).ensure()
    assert account.books.billing() == Three
    assert account.cluster().view.plan().create == ()
    account.emulator.machines.boot_all()
    outcome = account.cluster().ensure()
    assert outcome.created == ()
    assert account.books.billing() == Three and len(account.books.orders) == 2


def test_a_guest_that_is_said_to_be_ready_is_not_believed(account: Account) -> None:
    """The API says provisioned and running; nothing is up before SSH with the bootstrap key says so."""
    account.books.delays.ready_early = True
    account.emulator.machines.hold = True
    cluster = account.cluster()
    with pytest.raises(Unreachable):
        cluster.ensure()
    with pytest.raises(NotReady, match="not all reachable yet"):
        account.cluster().view.check()
    account.emulator.machines.boot_all()
    account.cluster().ensure()
    account.cluster().view.check()
    assert len(account.books.orders) == 2


def test_destroy_waits_for_guests_in_the_making(account: Account) -> None:
    account.books.delays.provision = 0.6
    account.emulator.machines.hold = True
    with pytest.raises(MusterError):
        account.cluster(deadlines={"boot": 0.1, "settle": 0.2}).ensure()
    threading.Timer(0.3, account.emulator.machines.boot_all).start()
    account.cluster().destroy()
    assert account.books.guests == {} and account.emulator.machines.orders == {}
    assert not list((account.folder / ".muster").glob("retina*"))


def test_calls_grow_with_looks_not_with_guests(account: Account) -> None:
    """Only tags are per guest, and cancels; guests are looked at by the hundred, and ordered by tens."""
    account.cluster(30).ensure()
    calls = account.emulator.calls
    assert (calls["setTags"], calls["createObjects"]) == (30, 1 + 3)
    marks = ("setTags", "editObject")
    assert sum(count for method, count in calls.items() if method not in marks) < 40


def test_one_guest_more_costs_as_much_however_many_there_are(account: Account) -> None:
    """Neither what is asked of SoftLayer nor what is written down grows with the cluster that it joins."""
    seen = []
    for nodes in (3, 30):
        account.cluster(nodes).ensure()
        journal = next(account.folder.glob("**/retina/journal.jsonl"))
        before, lines = Counter(account.emulator.calls), len(journal.read_text().splitlines())
        account.cluster(nodes + 1).ensure()
        calls = Counter(account.emulator.calls) - before
        del calls["getVirtualGuests"]  # how often guests in the making are looked at is a question of time
        seen.append((calls, len(journal.read_text().splitlines()) - lines))
    few, many = seen
    assert many == few and few[0]["createObjects"] == few[0]["setTags"] == 1


def random_run(account: Account, mortal: Mortal, seed: int) -> int:
    """Start, scale and destroy in a random order while random calls fail; return how many faults there were."""
    dice = random.Random(seed)  # noqa: S311  not for secrets
    delays = account.books.delays
    delays.visible, delays.provision = dice.choice([0, 0, 0.03]), dice.choice([0.005, 0.03])
    faults = 0
    for _ in range(dice.randint(1, 4)):
        size = dice.randint(1, 5)
        destroys = dice.random() < 0.25

        def act(size: int = size, destroys: bool = destroys) -> object:
            return account.cluster().destroy() if destroys else account.cluster(size).ensure(scale_in=True)

        for _ in range(dice.randint(0, 3)):
            kind = dice.choice([*FAULTS, "half"])
            faults += 1
            mortal.again(dice.randint(1, 20), kind)
            with suppress(MusterError, KilledError):
                act()
            account.emulator.faults.clear()
            mortal.again()
    wish = dice.randint(1, 5)
    until_done(lambda: account.cluster(wish).ensure(scale_in=True))
    assert account.books.billing() == sorted(
        ["retina-master", *(f"retina-worker-{n}" for n in range(1, wish))]
    )
    until_done(lambda: account.cluster().destroy())
    assert account.books.billing() == [] and account.books.violations == []
    assert account.books.security.groups == {}
    return faults


@random_seeds
def test_random_runs(
    account: Account, mortal: Mortal, seeds: range, capsys: pytest.CaptureFixture[str]
) -> None:
    faults = 0
    for seed in each(seeds):
        faults += random_run(account, mortal, seed)
        shutil.rmtree(account.folder / ".muster", ignore_errors=True)
    with capsys.disabled():
        violations = len(account.books.violations)
        sys.stdout.write(f" SoftLayer: {len(seeds)} runs, {faults} faults injected, {violations} violations ")
