"""Shows a folder of this computer to a cluster's nodes while a command runs; a process of its own.

Usage: python -m provision.data.stores.serve REQUEST (JSON); prints `ready`, or why it cannot be.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from provision.core import process, programs
from provision.core.errors import MusterError, StoreError
from provision.core.spec import ObjectStoreSpec
from provision.core.wait import until
from provision.data.stores.folder import ServedFolder
from provision.data.stores.keys import recorded
from provision.data.stores.s3_server import FolderServer
from provision.ssh.files import ssh_config
from provision.ssh.tunnels import ToNodes
from provision.state.folder import State
from provision.state.lease import Party, this_owner

LONGEST_S = 7 * 86400.0


def begin(store: ObjectStoreSpec, state: State, names: Sequence[str]) -> None:
    """Show the store's folder to nodes until the command that we work for has ended.

    Args:
        store: a folder of this computer.
        state: of the cluster; holds the keys, and the way to the nodes.
        names: the nodes'.

    Raises:
        StoreError: it cannot be shown.
    """
    request = {
        "path": store.path,
        "container": store.container,
        "state_dir": str(state.folder),
        "names": list(names),
        "owner": asdict(this_owner()),
    }
    server = subprocess.Popen(
        programs.module("provision.data.stores.serve", json.dumps(request)),
        env=programs.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
        start_new_session=True,
    )
    said = server.stdout.readline().strip() if server.stdout else ""
    if said != "ready":
        raise StoreError(what=said or "the process that shows it ended", where=f"object store {store.path}")


def main() -> None:
    """Serve until the owner has ended."""
    request = json.loads(sys.argv[1])
    state, owner = State(Path(request["state_dir"])), Party(**request["owner"])
    keys = recorded(state.secrets)
    if keys is None:
        print("its keys are missing; run start_cluster.yml", flush=True)  # noqa: T201  its caller reads this line
        return
    server = FolderServer(ServedFolder.at(Path(request["path"])), request["container"], keys)
    tunnel = ToNodes(ssh_config(state), request["names"], server.server_address[1])
    try:
        try:
            tunnel.wait()
        except MusterError as error:
            print(error, flush=True)  # noqa: T201
            return
        print("ready", flush=True)  # noqa: T201
        until(lambda: not process.alive(owner.pid, owner.start), deadline_s=LONGEST_S, interval_s=0.5)
    finally:
        tunnel.close()


if __name__ == "__main__":
    main()
