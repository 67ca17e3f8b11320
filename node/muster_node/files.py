"""Files that appear whole or not at all, and files that somebody else may have put in place of ours."""

from __future__ import annotations

import os
import shutil
import stat
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


def open_found(path: Path, flags: int = os.O_RDONLY) -> int:
    """Open a file that others may have replaced by a link, or a pipe that holds us up. Raises OSError."""
    found = os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW, 0o666)
    if not stat.S_ISREG(os.fstat(found).st_mode):
        os.close(found)
        raise OSError(f"{path} is no file")
    return found


def read_found(path: Path, *, most_bytes: int) -> bytes:
    """Read such a file. Raises OSError, also when it is larger than `most_bytes`."""
    with os.fdopen(open_found(path), "rb") as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise OSError(f"{path} is too large")
    return content


def report(path: str, text: str) -> None:
    """Replace the one line of a progress file, '' = there is none; that it cannot be written stops nobody."""
    if path:
        with suppress(OSError):
            Path(path).write_text(f"{text}\n")
