"""Clusters on the emulated SoftLayer account, whose guests are real machines of this computer."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.system.clouds import CloudLab, SoftLayerAccount, softlayer_account

Maker = Callable[..., CloudLab]


@pytest.fixture
def softlayer(tmp_path: Path) -> Iterator[Maker]:
    """Makes a cluster of two guests on an account of the test's own."""
    with ExitStack() as accounts:

        def make(*, baked: bool = True, **keys: Any) -> CloudLab:
            account = accounts.enter_context(softlayer_account(tmp_path / "home", baked=baked))
            return CloudLab(tmp_path / "lab", account, **{"nodes": 2, **keys})

        yield make


def account(lab: CloudLab) -> SoftLayerAccount:
    (found,) = lab.accounts
    assert isinstance(found, SoftLayerAccount)
    return found


def test_services_come_up(softlayer: Maker) -> None:
    lab = softlayer(groups=SoftLayerAccount.groups)
    lab.playbook("start_cluster.yml").ok()
    assert account(lab).emulator.books.orders == [[lab.master], [lab.worker(1)]]
    lab.playbook("playbooks/services.yml").ok()
    services = lab.status()["services"]
    assert (services["datanodes"], services["workers"]) == (2, 2), services
    disks = json.loads(lab.ssh(lab.worker(1), "findmnt --json --output SOURCE,TARGET").ok().answer)
    assert "/dev/xvdc" in json.dumps(disks)
    lab.destroy().ok()
    lab.nothing_left()
    assert lab.told() == [], "the API key stands in a log, a journal or a report"


@pytest.mark.long
def test_without_an_image_everything_is_installed_on_the_nodes(softlayer: Maker) -> None:
    lab = softlayer(baked=False, groups=SoftLayerAccount.groups)
    lab.playbook("start_cluster.yml", timeout=1500).ok()
    lab.playbook("main.yml", "-e", "IMAGE_SIZE=16").ok()
    assert lab.status()["services"]["datanodes"] == 2
    lab.destroy().ok()
    lab.nothing_left()


@pytest.mark.long
@pytest.mark.parametrize("moment", ["createObjects", "setTags", "getVirtualGuests"])
def test_killed_during_create(softlayer: Maker, moment: str) -> None:
    """kill -9 around each kind of call; the same command again makes what was wished, once."""
    lab = softlayer()
    calls = account(lab).emulator.calls
    begun = calls[moment]
    assert lab.kill_after(lambda: calls[moment] > begun, "start_cluster.yml")
    lab.playbook("start_cluster.yml").ok()
    assert lab.billing == sorted(lab.names) and account(lab).ordered() == 2
    lab.destroy().ok()
    lab.nothing_left()


def test_the_commands_of_a_lab_cannot_reach_a_real_account(softlayer: Maker) -> None:
    lab = softlayer(baked=False)
    environment = lab.environment()
    assert environment["HOME"] != os.environ.get("HOME")
    assert not [name for name in environment if name.startswith("SL_") or name.lower().endswith("_proxy")]
    assert "127.0.0.1" in (Path(environment["HOME"]) / ".softlayer").read_text()
