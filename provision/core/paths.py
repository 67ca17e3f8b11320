"""Where things lie: the project's root, the folder that keeps what is known about clusters, and our own."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from provision.core.errors import NotReady, StateError
from provision.core.files import private_folder

PROJECT = Path(__file__).resolve().parents[2]
"""The clone that this package lies in."""
STATE_FOLDER = ".muster"
_MISLEADING = frozenset(':"$`\\')
"""Characters of a path that ssh's configuration or a script of `.venv` would take for something else."""


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
    """Return the folder of all clusters' states: `$MUSTER_STATE`, else `.muster` in the project's root.

    Raises:
        StateError: programs that are given its path would misread it.
    """
    override = os.environ.get("MUSTER_STATE", "")
    folder = Path(override).expanduser().resolve() if override else root / STATE_FOLDER
    if why := misread(folder):
        raise StateError(where=str(folder), what=f"{why}, which ssh would misread", remedy="Rename it")
    return folder


def misread(path: Path) -> str:
    """Return what of a path other programs would misread (`its path has a :`), '' when nothing."""
    found = next((letter for letter in str(path) if letter in _MISLEADING or not letter.isprintable()), "")
    return f"its path has a {found if found.isprintable() else repr(found)}" if found else ""


def images_folder(states: Path) -> Path:
    """Return where notes and locks of images at providers lie; no cluster has that name."""
    return states / ".images"


def owner_mark(states: Path) -> str:
    """Return the mark of the machines that are known in `states`, on this computer, and nowhere else."""
    return hashlib.sha256(f"{socket.gethostname()}:{states.resolve()}".encode()).hexdigest()[:16]


def own_folders() -> list[Path]:
    """Return where things of this user alone may lie, the best first; none of them is looked at."""
    bases = [Path(os.environ.get("XDG_CACHE_HOME", "")), Path(os.environ.get("XDG_RUNTIME_DIR", ""))]
    with suppress(RuntimeError):  # a user whom this computer does not know
        if os.environ.get("HOME") != "":  # which would mean /
            bases.insert(1, Path.home() / ".cache")
    folders = [base / "muster" for base in bases if base.is_absolute()]
    return [*folders, Path(f"/tmp/muster-{os.geteuid()}")]  # noqa: S108  (see private_folder)


def own_folder(fits: Callable[[Path], bool] = lambda _: True) -> Path:
    """Return a folder of this user alone, made when it is missing: the first of `own_folders` that can be.

    Args:
        fits: says of the better ones whether they will do; the last one always does.

    Raises:
        NotReady: why the last one cannot be.
    """
    *better, last = own_folders()
    for folder in filter(fits, better):
        with suppress(NotReady):
            return private_folder(folder)
    return private_folder(last)
