"""known_hosts and ssh_config of a cluster."""

from __future__ import annotations

from pathlib import Path

from provision.core import files
from provision.core.names import JOB_USER, LOGIN_USER, STORE_HOST
from provision.core.templates import render
from provision.ssh.run import jump_command
from provision.ssh.sharing import quoted
from provision.state.folder import State


def ssh_config(state: State) -> Path:
    """Return a started cluster's ssh_config, with known_hosts beside it.

    Both are made from the snapshot and the pinned keys, and made anew when they are not as they should be:
    they name the folder that they lie in, which may have been moved. Raises StateError.
    """
    targets = state.targets()
    lines = "".join(f"{target.name} {target.host_key}\n" for target in targets.values())
    files.write_if_changed(state.known_hosts, lines)
    hosts = [
        {
            "name": target.name,
            "address": target.address,
            "jump": jump_command(target.jump),
            "user": LOGIN_USER if target.name == STORE_HOST else JOB_USER,
        }
        for target in targets.values()
    ]
    text = render(
        "ssh_config.j2", path=state.ssh_config, hosts=hosts,
        key_file=quoted(state.key_file), known_hosts=quoted(state.known_hosts),
    )  # fmt: skip
    files.write_if_changed(state.ssh_config, text)
    return state.ssh_config
