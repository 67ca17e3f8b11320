"""known_hosts and ssh_config of a cluster, and the connections that they share."""

from __future__ import annotations

import subprocess
from pathlib import Path

from provision.core import files
from provision.core.names import JOB_USER, LOGIN_USER, STORE_HOST
from provision.core.paths import control_path
from provision.core.templates import render
from provision.ssh import connection
from provision.ssh.run import NO_CONFIG, ssh_command
from provision.state.folder import State


def write_ssh_files(state: State, cluster_id: str) -> None:
    """Write known_hosts and ssh_config from the snapshot and the pinned keys."""
    targets = state.targets()
    lines = "".join(f"{target.name} {target.host_key}\n" for target in targets.values())
    files.write_if_changed(state.known_hosts, lines)
    hosts = [
        {
            "name": target.name,
            "address": target.address,
            "jump": connection.jump_command(target.jump),
            "user": LOGIN_USER if target.name == STORE_HOST else JOB_USER,
        }
        for target in targets.values()
    ]
    control = control_path(cluster_id)
    Path(control).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    text = render(
        "ssh_config.j2", path=state.ssh_config, hosts=hosts,
        key_file=state.key_file, known_hosts=state.known_hosts, control_path=control,
    )  # fmt: skip
    files.write_if_changed(state.ssh_config, text)


def close_shared_connections(cluster_id: str) -> None:
    """End the SSH connections that stay open in the background for reuse."""
    for path in Path(control_path(cluster_id)).parent.glob(f"{cluster_id}-*"):
        command = ssh_command(NO_CONFIG, "muster", options=("-o", f"ControlPath={path}", "-O", "exit"))
        subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        path.unlink(missing_ok=True)
