"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path


def write(path: Path, text: str, *, mode: int = 0o644, group: str = "") -> None:
    """Replace a file's content at once; nobody ever sees half of it. Raises OSError, LookupError (no group).

    Args:
        path: the file; its folder is there.
        text: its new content.
        mode: its permissions, from the first byte on.
        group: the group that it belongs to, '' = the process's own.
    """
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
            if group:
                shutil.chown(fresh, group=group)
            os.fchmod(file.fileno(), mode)
        fresh.replace(path)
    except (OSError, LookupError):
        fresh.unlink(missing_ok=True)
        raise


def report(path: str, text: str) -> None:
    """Replace the one line of a progress file, '' = there is none; that it cannot be written stops nobody."""
    if path:
        with suppress(OSError):
            Path(path).write_text(f"{text}\n")
