"""Where things lie: the project's root and the folder that keeps what is known about clusters."""

from __future__ import annotations

import os
from pathlib import Path

STATE_FOLDER = ".muster"


def project_root(start: Path | None = None) -> Path:
    """Return the folder that holds `ansible.cfg`, looked for from `start` upwards, else this package's own clone."""
    for base in (start, Path.cwd()):
        if base is None:
            continue
        resolved = base.resolve()
        for folder in (resolved, *resolved.parents):
            if (folder / "ansible.cfg").is_file():
                return folder
    return Path(__file__).resolve().parents[1]


def states_folder(root: Path) -> Path:
    """Return the folder of all clusters' states: `$MUSTER_STATE`, else `.muster` in the project's root."""
    override = os.environ.get("MUSTER_STATE", "")
    return Path(override).expanduser().resolve() if override else root / STATE_FOLDER
