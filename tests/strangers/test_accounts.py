"""Whatever the caller's environment says, other people's programs reach the emulators or nobody."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.emulators.ec2.harness import REGION, Emulator
from tests.emulators.ec2.images import ACCOUNT
from tests.emulators.softlayer.server import USERNAME
from tests.fakes.softlayer import Account
from tests.strangers.programs import OURS, Shell

REAL = {
    **dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"), "real"),
    **dict.fromkeys(("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "SL_USERNAME", "SL_API_KEY"), "real"),
    **dict.fromkeys(("AWS_ENDPOINT_URL_EC2", "AWS_ENDPOINT_URL_STS"), "https://real.example"),
    **dict.fromkeys(("SL_ENDPOINT_URL", "HTTPS_PROXY", "http_proxy"), "https://real.example"),
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
}


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on the caller has accounts."""
    for name, value in REAL.items():
        monkeypatch.setenv(name, value)


def test_nothing_of_the_callers_is_in_their_environment(ec2: Shell, softlayer: Shell, real: None) -> None:
    for shell in (ec2, softlayer):
        told = shell.environment
        told |= {path.name: path.read_text() for path in Path(told["HOME"]).iterdir() if path.is_file()}
        assert not [text for text in told.values() if "real" in text]
        found = re.findall(r"\bhttps?://([^:/\s]*)", " ".join(told.values()))
        assert set(found) == {"127.0.0.1"}


def test_they_are_who_the_emulators_know(ec2: Shell, softlayer: Shell, real: None) -> None:
    assert ec2.json("aws", "sts", "get-caller-identity")["Account"] == ACCOUNT
    told = softlayer.json("slcli", "--format", "json", "config", "show")
    assert told["Username"] == USERNAME and told["Endpoint URL"].startswith("http://127.0.0.1:")


def test_without_an_emulator_they_reach_nobody(
    installed: Path, account: Account, tmp_path: Path, real: None
) -> None:
    with Emulator(tmp_path / "ended") as ended:
        leads = {**ended.environment(), "AWS_MAX_ATTEMPTS": "1"}
    ec2 = Shell(leads, (installed, OURS))
    for words in (("ec2", "describe-instances"), ("s3", "ls")):
        done = ec2.run("aws", *words)
        assert done.returncode and f'Could not connect to the endpoint URL: "{ended.url}/"' in done.stderr
    done = ec2.run("flintrock", "describe", "--ec2-region", REGION)
    assert done.returncode and f'Could not connect to the endpoint URL: "{ended.url}/"' in done.stderr
    account.emulator.close()
    done = Shell(account.emulator.environment({})).run("slcli", "sshkey", "list")
    assert done.returncode and "Connection refused" in done.stdout + done.stderr
