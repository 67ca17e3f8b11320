"""Two clusters at the same time on one computer."""

from __future__ import annotations

import subprocess
import threading

import pytest

pytestmark = pytest.mark.long


@pytest.fixture
def couple(labs):
    return labs(nodes=1), labs(nodes=2)


def rules() -> str:
    return subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True).stdout


def test_side_by_side(couple, leftovers):
    """Created, used and destroyed at the same time; neither sees the other, and foreign rules stay."""
    subprocess.run(["nft", "add", "table", "ip", "somebody_else"], check=True)
    try:
        with leftovers(*couple):
            both(couple, lambda lab: lab.up(16))
            one, two = couple
            subnets = {
                lab.name: {node["address"].rpartition(".")[0] for node in lab.machines().values()}
                for lab in couple
            }
            assert not subnets[one.name] & subnets[two.name]
            assert not reachable(one, two.machines()[two.master]["address"], 8020)
            assert not reachable(two, one.machines()[one.master]["address"], 7077)
            for lab in couple:
                assert lab.muster("verify", "--json").ok().json()
            one.destroy().ok()
            assert two.muster("verify", "--json").ok().json()
            two.destroy().ok()
        assert "table ip somebody_else" in rules()
    finally:
        subprocess.run(["nft", "delete", "table", "ip", "somebody_else"], check=True)


def both(labs, action) -> None:
    failures = []

    def one(lab) -> None:
        try:
            action(lab)
        except BaseException as error:  # noqa: BLE001  raised below, with the other thread's
            failures.append(error)

    threads = [threading.Thread(target=one, args=(lab,)) for lab in labs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def reachable(lab, address: str, port: int) -> bool:
    return lab.ssh(lab.master, f"timeout 3 bash -c '</dev/tcp/{address}/{port}'", timeout=30).status == 0
