"""One EC2 emulator per module; nothing is behind it, and nobody's account can be reached."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.client import ClientCreator
from botocore.loaders import Loader

from tests.emulators.ec2 import judge
from tests.emulators.ec2.harness import Emulator
from tests.fakes.ec2 import Cloud

MAKE_CLASS = ClientCreator._create_client_class
CLASSES: dict[str, Any] = {}


@cache
def one_loader(data_path: str | None = None) -> Loader:
    """Read boto3's descriptions of services once, not for each provider: a second a test."""
    return Loader(data_path)


@pytest.fixture(scope="session")
def ec2_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with Emulator(tmp_path_factory.mktemp("ec2"), recipes=["feedfeedfeedfeed"]) as emulator:
        yield emulator


def one_class(creator: Any, service: str, model: Any) -> Any:
    """Make boto3's class of a service once, too."""
    if service not in CLASSES:
        CLASSES[service] = MAKE_CLASS(creator, service, model)
    return CLASSES[service]


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look as often as an emulator deserves, whose minutes are milliseconds; no deadline changes."""
    short = SimpleNamespace(monotonic=time.monotonic, sleep=lambda seconds: time.sleep(min(seconds, 0.01)))
    monkeypatch.setattr("provision.core.wait.time", short)
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.0)
    monkeypatch.setattr("os.fsync", lambda _: None)


@pytest.fixture
def cloud(ec2_emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """An empty account."""
    ec2_emulator.reset()
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in ec2_emulator.environment().items():
        monkeypatch.setenv(name, value)
    judge.install(monkeypatch)
    monkeypatch.setattr("botocore.session.create_loader", one_loader)
    monkeypatch.setattr(ClientCreator, "_create_client_class", one_class)
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)  # another test's remembers another environment
    monkeypatch.setenv("MUSTER_STATE", str(tmp_path / "state"))
    (tmp_path / "ansible.cfg").touch()
    return Cloud(ec2_emulator, tmp_path)
