"""Each transition of an order at AWS, without a cloud."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from provision.core.errors import NoCapacity, NotReady, OutcomeUnknown, ProviderError
from provision.core.model import Machine
from provision.providers.ec2.ledger import SETTLING_S, Alternative, Ledger, Order
from provision.providers.ec2.placing import VISIBLE_S, Answer, Placing, Refused, Step, next_step, settling
from tests.fakes.provider import machine

TOKEN = "t1"
MADE = [machine("retina-worker-1")]
ROOM = Refused("InsufficientInstanceCapacity", "no room")
UNKNOWN = OutcomeUnknown(provider="ec2", what="no answer")
DENIED = NotReady(what="denied")


def order(*, index: int = 0, begun: float = 0.0) -> Order:
    kinds = [
        Alternative(kind, "subnet-1", "zone-a", False, "ami-1", "/dev/sda1", 8) for kind in ("small", "large")
    ]
    return Order("eu-west-1", 1, {}, tuple(kinds), index=index, begun=begun)


class Aws:
    """Answers what it is told to, and notes what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.ledger = Ledger(folder)
        self.answers: list[int | Exception] = []
        self.lists: list[list[Machine]] = []
        self.asked: list[int] = []
        self.waited: list[float] = []

    def ask(self, begun: Order) -> int:
        noted = self.ledger.order(TOKEN)
        assert noted is not None and noted.index == begun.index and not noted.settled, (
            "noted before it is asked"
        )
        self.asked.append(begun.index)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def listed(self, _: Order, deadline_s: float) -> list[Machine]:
        self.waited.append(deadline_s)
        return self.lists.pop(0) if self.lists else []

    def place(self, begun: Order) -> list[Machine]:
        return Placing(TOKEN, begun, self.ledger, "retina-worker-1", self.ask, self.listed).place()

    @property
    def settled(self) -> bool:
        noted = self.ledger.order(TOKEN)
        return noted is not None and noted.settled


@pytest.fixture
def aws(tmp_path: Path) -> Aws:
    return Aws(tmp_path)


def test_every_answer_has_one_step() -> None:
    assert [next_step(answer, listed=True) for answer in Answer] == [Step.KEEP] * 4
    assert [next_step(answer, listed=False) for answer in Answer] == [
        Step.REPEAT,
        Step.KEEP,
        Step.NEXT,
        Step.FAIL,
    ]


def test_made(aws: Aws) -> None:
    aws.answers, aws.lists = [1], [MADE]
    assert aws.place(order()) == MADE
    assert (aws.asked, aws.waited, aws.settled) == ([0], [VISIBLE_S], True)


def test_made_but_not_listed_stays_open(aws: Aws) -> None:
    aws.answers = [1]
    with pytest.raises(OutcomeUnknown, match="does not list them after 120 s"):
        aws.place(order())
    assert not aws.settled


def test_made_before_and_ended_since(aws: Aws) -> None:
    aws.answers = [0]
    assert aws.place(order(begun=time.time() - 1)) == []
    assert (aws.waited, aws.settled) == ([0.0], True)


def test_refused_then_the_next_one(aws: Aws) -> None:
    aws.answers, aws.lists = [ROOM, 1], [MADE]
    assert aws.place(order()) == MADE
    assert (aws.asked, aws.waited) == ([0, 1], [VISIBLE_S]), "nothing was asked before: no refusal is doubted"


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("InsufficientInstanceCapacity", NoCapacity),
        ("Unsupported", NoCapacity),  # of the other one there may be room later
        ("VcpuLimitExceeded", ProviderError),
    ],
)
def test_exhausted(aws: Aws, code: str, error: type[ProviderError]) -> None:
    aws.answers = [ROOM, Refused(code, "none")]
    with pytest.raises(error, match=rf"small in zone-a: Insuff.*large in zone-a: {code}") as caught:
        aws.place(order())
    assert type(caught.value) is error and aws.settled


def test_failed_ends_it(aws: Aws) -> None:
    aws.answers = [DENIED]
    with pytest.raises(NotReady, match="denied"):
        aws.place(order())
    assert (aws.asked, aws.settled) == ([0], True)


def test_unknown_stays_open(aws: Aws) -> None:
    aws.answers = [UNKNOWN]
    with pytest.raises(OutcomeUnknown):
        aws.place(order())
    assert not aws.settled


def test_what_was_begun_is_looked_for_first(aws: Aws) -> None:
    aws.lists = [MADE]
    assert aws.place(order(index=1, begun=time.time())) == MADE
    assert (aws.asked, aws.waited, aws.settled) == ([], [0.0], True)


def test_a_repetition_asks_for_the_same_alternative(aws: Aws) -> None:
    aws.answers, aws.lists = [1], [[], MADE]
    assert aws.place(order(index=1, begun=time.time())) == MADE
    assert aws.asked == [1]


@pytest.mark.parametrize("answer", [ROOM, DENIED])
def test_a_refused_repetition_is_doubted_as_long_as_machines_may_turn_up(aws: Aws, answer: Exception) -> None:
    aws.answers, aws.lists = [answer], [[], MADE]
    assert aws.place(order(begun=time.time() - 10)) == MADE
    assert aws.waited[1] == pytest.approx(SETTLING_S - 10, abs=1)
    assert aws.settled


def test_a_late_repetition_is_believed(aws: Aws) -> None:
    aws.answers, aws.lists = [ROOM, 1], [[], MADE]
    assert aws.place(order(begun=time.time() - SETTLING_S - 1)) == MADE
    assert (aws.asked, aws.waited) == ([0, 1], [0.0, VISIBLE_S])


def test_a_list_that_fails_proves_nothing(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    aws.answers = [1]
    fail: Callable[..., list[Machine]] = lambda *_: (_ for _ in ()).throw(UNKNOWN)  # noqa: E731
    monkeypatch.setattr(aws, "listed", fail)
    with pytest.raises(OutcomeUnknown):
        aws.place(order())
    assert not aws.settled


def test_an_order_never_begun_has_nothing_to_wait_for() -> None:
    assert settling(0.0) == 0.0
