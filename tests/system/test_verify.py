"""verify says what is short, and when it could not look."""

from __future__ import annotations

import pytest

from tests.system.lab import eventually
from tests.system.undo import changed


@pytest.mark.parametrize(
    ("unit", "service", "check"),
    [
        ("spark-worker", "workers", "Workers"),
        pytest.param("hdfs-datanode", "datanodes", "DataNodes", marks=pytest.mark.long),  # missed after 60 s
    ],
)
def test_a_stopped_daemon_is_exit_1_and_named(ready, unit, service, check):
    name = ready.worker(2)

    def running(count: int) -> bool:
        return ready.status()["services"][service] == count

    ready.ssh(name, f"sudo systemctl stop {unit}", user="muster").ok()
    try:
        eventually(lambda: running(2), 120, f"two {service}")
        run = ready.muster("verify", "--json")
        assert run.status == 1, run.report()
        report = run.json()
        assert (report["ready"], report["status"], report["exit_status"]) == (False, "short", 1)
        (found,) = [one for one in report["checks"] if one["name"] == check]
        assert found["ok"] is False and name in found["found"], found
        assert found["remedy"]
    finally:
        ready.ssh(name, f"sudo systemctl start {unit}", user="muster").ok()
        eventually(lambda: running(3), 90, f"three {service}")


@pytest.fixture
def silent_master(ready):
    """The master takes no new SSH connection, as if it were gone; it does again afterwards."""
    block = "nft insert rule inet muster input tcp dport 22 ct state new reject with tcp reset"
    with changed(ready, ready.master, block, "nft -f /etc/muster/firewall.nft"):
        yield ready.master


def test_a_master_that_cannot_be_reached_is_exit_2(ready, silent_master):
    run = ready.muster("verify", "--json")
    assert run.status == 2, run.report()
    report = run.json()
    assert (report["ready"], report["status"], report["exit_status"]) == (False, "unknown", 2)
    (found,) = [one for one in report["checks"] if one["name"] == silent_master]
    assert found["ok"] is None and found["remedy"]
