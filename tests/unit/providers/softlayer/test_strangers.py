"""IBM's own command line looks at what Muster has made on the emulated account, and sees the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.fakes.softlayer import Account


def slcli(account: Account, *words: str) -> Any:
    command = [str(Path(sys.executable).with_name("slcli")), "--format", "json", *words]
    environment = account.emulator.environment(dict(os.environ))
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_slcli_sees_what_muster_lists(account: Account) -> None:
    cluster = account.cluster(3)
    cluster.ensure()
    account.provider().stop(cluster.view.state.identity(), [cluster.view.nodes[0].machine])
    columns = "id,hostname,backend_ip,power_state,datacenter,tags"
    seen = slcli(account, "vs", "list", "--tag", "muster-cluster:retina", "--columns", columns)
    mine = account.cluster(3).view.nodes
    assert {(str(row["id"]), row["hostname"], row["backend_ip"]) for row in seen} == {
        (node.machine.provider_id, node.name, node.machine.address) for node in mine
    }
    power = {row["hostname"]: row["power_state"].lower() for row in seen}
    assert power == {
        node.name: {"running": "running", "stopped": "halted"}[node.machine.state.value] for node in mine
    }
    groups = slcli(account, "sg", "list")
    assert [row["name"] for row in groups] == [f"muster-retina-{cluster.view.state.identity().id}"]
    account.cluster(3).destroy()
    assert slcli(account, "vs", "list", "--columns", "id,hostname") == []
    assert slcli(account, "sg", "list") == []


def test_slcli_sees_what_is_offered(account: Account) -> None:
    options = slcli(account, "call-api", "Virtual_Guest", "getCreateObjectOptions")
    assert "DEBIAN_13_64" in json.dumps(options)
