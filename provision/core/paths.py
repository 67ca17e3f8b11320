"""Where things lie: the project's root and the folder that keeps what is known about clusters."""

from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
"""The clone that this package lies in."""
STATE_FOLDER = ".muster"

_SOCKET_PATH_LIMIT = 104 - 18
"""Characters that a ControlPath may have: the limit of a socket's path less what ssh appends for a moment."""


def project_root(start: Path | None = None) -> Path:
    """Return the folder that holds `ansible.cfg`, from `start` upwards, else this package's own clone."""
    for base in (start, Path.cwd()):
        if base is None:
            continue
        resolved = base.resolve()
        for folder in (resolved, *resolved.parents):
            if (folder / "ansible.cfg").is_file():
                return folder
    return PROJECT


def states_folder(root: Path) -> Path:
    """Return the folder of all clusters' states: `$MUSTER_STATE`, else `.muster` in the project's root."""
    override = os.environ.get("MUSTER_STATE", "")
    return Path(override).expanduser().resolve() if override else root / STATE_FOLDER


def owner_mark(states: Path) -> str:
    """Return the mark of the machines that are known in `states`, on this computer, and nowhere else."""
    return hashlib.sha256(f"{socket.gethostname()}:{states.resolve()}".encode()).hexdigest()[:16]


def control_path(cluster_id: str) -> str:
    """Return the ControlPath of shared SSH connections; a cluster's id in it keeps two clusters apart."""
    name = f"{cluster_id}-%C"
    for folder in (Path.home() / ".cache" / "muster", Path(f"/tmp/muster-{os.getuid()}")):  # noqa: S108  (0700)
        if len(str(folder)) + 1 + len(cluster_id) + 41 <= _SOCKET_PATH_LIMIT and " " not in str(folder):
            return str(folder / name)
    return str(folder / name)
