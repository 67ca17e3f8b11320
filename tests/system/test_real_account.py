"""The smoke script for a real account, at the emulator: it proves what it says, and leaves nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from provision.core.paths import PROJECT
from tests.system.clouds import ec2_account

pytestmark = pytest.mark.long

REGION = "us-east-1"  # whose prices are known without asking Amazon
SCRIPT = [
    sys.executable,
    str(PROJECT / "bench" / "real_account.py"),
    "--region",
    REGION,
    "--allow-from",
    "0.0.0.0/0",
]


def test_all_its_steps(tmp_path: Path) -> None:
    with ec2_account(tmp_path / "aws", baked=False) as account:
        account.emulator.set(policy=False)  # who looks may look at volumes, which Muster may not
        environment = account.environment(dict(os.environ))
        done = subprocess.run(
            [*SCRIPT, "--yes"], env=environment, capture_output=True, text=True, timeout=3600, check=False
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        for proof in (
            "destroy twice is harmless",
            "told a deadline, it is deleted then",
            "nothing is left in the account",
        ):
            assert f"- {proof}" in done.stdout
        assert account.left_over() == []


def test_it_asks_and_takes_no_for_an_answer(tmp_path: Path) -> None:
    with ec2_account(tmp_path / "aws", baked=False) as account:
        done = subprocess.run(
            SCRIPT,
            env=account.environment(dict(os.environ)),
            input="no\n",
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1 and "Go on?" in done.stdout and account.ordered() == 0
