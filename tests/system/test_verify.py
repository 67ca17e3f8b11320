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


@pytest.mark.long
def test_features_that_are_on_are_proved(labs):
    node = {"cores": 2, "memory_gb": 6, "data_disk_gb": 20}
    lab = labs(nodes=1, groups={"master": node}, features=["tracking", "notebook", "launcher"])
    lab.up(16)

    def proved(status: int) -> dict[str, dict]:
        run = lab.muster("verify", "--json")
        assert run.status == status, run.report()
        return {one["name"]: one for one in run.json()["checks"]}

    names = {"MLflow", "JupyterLab", "Launcher"}
    found = proved(0)
    assert {name: found[name]["found"] for name in names} == {
        "MLflow": "answers; others are refused (401)",
        "JupyterLab": "answers; others are refused (403)",
        "Launcher": "answers; others are refused (401)",
    }
    lab.ssh(lab.master, "echo other | sudo tee /var/lib/muster-launcher/password", "muster").ok()
    short = proved(1)
    assert {name for name in short if not short[name]["ok"]} == {"Launcher"}
    assert short["Launcher"]["found"] == "refuses its own login (401)" and short["Launcher"]["remedy"]
