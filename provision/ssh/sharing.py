"""SSH connections that commands share: they stay open in the background, behind sockets that are ours alone.

ssh does not ask whose socket it is, nor then for a host key, so the folder is looked at before each use.
"""

from __future__ import annotations

import hashlib
import subprocess
from contextlib import suppress
from pathlib import Path

from provision.core.errors import NotReady
from provision.core.files import private_folder
from provision.core.names import JOB_USER, LOGIN_USER
from provision.core.paths import misread, own_folder, own_folders

_PATH_LIMIT = 104 - 18
"""Characters that a ControlPath may have: the limit of a socket's path less what ssh appends for a moment."""
_NAME_LENGTH = 8 + 1 + 12 + 1 + max(len(LOGIN_USER), len(JOB_USER))


def folder() -> Path:
    """Return the folder of the sockets, made when it is missing. Raises NotReady: none can be had."""
    return own_folder(lambda path: len(f"{path}/") + _NAME_LENGTH <= _PATH_LIMIT and not misread(path))


def options(sockets: Path, state: Path, machine: str) -> list[str]:
    """Return ssh's options for sharing connections to a machine.

    Args:
        sockets: see `folder`.
        state: the state folder of the machine's cluster.
        machine: its name.
    """
    path = quoted(sockets, f"/{_prefix(state)}-{_digest(state / machine):.12}-%r")
    settings = ("ControlMaster=auto", "ControlPersist=10m", f"ControlPath={path}")
    return [word for setting in settings for word in ("-o", setting)]


def close(state: Path) -> None:
    """End the connections to a cluster's machines that stay open in the background, by its state folder."""
    found: list[Path] = []
    for sockets in own_folders():
        with suppress(NotReady, OSError):
            found += private_folder(sockets).glob(f"{_prefix(state)}-*") if sockets.is_dir() else ()
    for path in found:
        command = ["ssh", "-F", "none", "-o", f"ControlPath={quoted(path)}", "-O", "exit", "muster"]
        subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        path.unlink(missing_ok=True)


def quoted(path: Path, tokens: str = "") -> str:
    """Return a path, and behind it what ssh is to fill in, as a value of ssh's configuration."""
    return f'"{str(path).replace("%", "%%")}{tokens}"'


def _prefix(state: Path) -> str:
    """Return how the names of all sockets of a cluster begin."""
    return _digest(state)[:8]


def _digest(path: Path) -> str:
    return hashlib.sha256(str(path).encode()).hexdigest()
