"""An emulated account for one test; waiting is short."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from provision.core.wait import until
from provision.providers.softlayer import client
from tests.emulators.softlayer.guests import Delays
from tests.emulators.softlayer.server import Emulator
from tests.fakes.softlayer import Account


def quick(condition: Callable[[], Any], *, deadline_s: float, interval_s: float = 0.1, **_: float) -> Any:
    """Look as often as an emulator deserves, whose minutes are milliseconds."""
    return until(condition, deadline_s=deadline_s, interval_s=min(interval_s, 0.01))


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    """An account of the test's own, found by the client's settings file."""
    made = Account(
        Emulator(tmp_path / "home", delays=Delays(provision=0.005, reclaim=0.005, transaction=0.005)),
        tmp_path,
    )
    for name, value in made.emulator.environment({}).items():
        monkeypatch.setenv(name, value)
    for name in (
        "MUSTER_STATE",
        "SL_USERNAME",
        "SL_API_KEY",
        "https_proxy",
        "HTTPS_PROXY",
        "http_proxy",
        "HTTP_PROXY",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.fsync", lambda _: None)
    monkeypatch.setattr(client, "TIMEOUT_S", 0.4)
    monkeypatch.setattr(client, "SLOW_TIMEOUT_S", 0.4)
    monkeypatch.setattr(client, "RETRY_FOR_S", 1.0)
    monkeypatch.setattr(client, "RETRY_AFTER_S", 0.02)
    monkeypatch.setattr(client, "PER_SECOND", 1000)
    made.emulator.per_second = 1000
    monkeypatch.setattr("provision.providers.softlayer.provider.POLL_S", 0.01)
    monkeypatch.setattr("provision.providers.softlayer.security.POLL_S", 0.01)
    monkeypatch.setattr("provision.providers.softlayer.security.UNUSED_S", 2.0)
    monkeypatch.setattr("provision.cluster.carry_out.until", quick)
    monkeypatch.setattr("provision.cluster.orders.until", quick)
    yield made
    made.close()
