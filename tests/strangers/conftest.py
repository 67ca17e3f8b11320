"""Emulated accounts with nothing behind them, and the environments in which programs find these and no others."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.emulators.ec2.harness import Emulator
from tests.emulators.softlayer import server
from tests.emulators.softlayer.guests import Delays
from tests.fakes.ec2 import Cloud
from tests.fakes.softlayer import Account
from tests.strangers import programs
from tests.strangers.programs import Shell


@pytest.fixture(scope="session")
def installed() -> Path:
    """The folder of the programs that are not in this environment."""
    return programs.install()


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with Emulator(tmp_path_factory.mktemp("ec2")) as made:
        yield made


@pytest.fixture
def ec2(emulator: Emulator, tmp_path: Path, installed: Path) -> Shell:
    """An empty account at EC2, whose other users may do more than Muster must."""
    emulator.reset()
    emulator.set(policy=False)
    leads = {**emulator.environment(), "MUSTER_STATE": str(tmp_path / "state")}
    return Shell(leads, (installed, programs.OURS))


@pytest.fixture
def cloud(ec2: Shell, emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """Clusters in that account, made by this process."""
    follow(ec2, monkeypatch)
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)  # another test's remembers another environment
    (tmp_path / "ansible.cfg").touch()
    return Cloud(emulator, tmp_path)


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    """An empty account at SoftLayer, and clusters in it, made by this process."""
    delays = Delays(provision=0.005, reclaim=0.005)
    made = Account(server.Emulator(tmp_path / "home", delays=delays), tmp_path)
    monkeypatch.setattr("provision.providers.softlayer.provider.POLL_S", 0.01)
    follow(shell_of(made), monkeypatch)
    yield made
    made.close()


@pytest.fixture
def softlayer(account: Account) -> Shell:
    return shell_of(account)


def shell_of(account: Account) -> Shell:
    return Shell({**account.emulator.environment({}), "MUSTER_STATE": str(account.folder / "state")})


def follow(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process find the account that the shell's programs find."""
    for name in [*os.environ]:
        if name.startswith(("AWS_", "SL_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    for name, value in shell.leads.items():
        monkeypatch.setenv(name, value)
