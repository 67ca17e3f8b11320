"""Files that survive a crash: written whole or not at all, flushed together with their folder.

And folders that nobody else can reach into.
"""

from __future__ import annotations

import fcntl
import os
import shlex
import stat
from pathlib import Path

from provision.core.errors import NotReady


def private_folder(path: Path, *, readable: bool = False) -> Path:
    """Make a folder that is ours alone, or see that the one that is there is; return it.

    One of ours that others can only read is closed to them. Its parents are made as usual.

    Args:
        path: the folder's.
        readable: others may read it, as long as they cannot write.

    Raises:
        NotReady: it is a link or no folder, belongs to somebody else, others can write in it, or it cannot
            be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o755 if readable else 0o700, exist_ok=True)
        found = path.lstat()
        _require_ours(path, found)
        if stat.S_IMODE(found.st_mode) & 0o077 and not readable:
            path.chmod(0o700)
    except OSError as error:
        raise NotReady(
            where=str(path),
            what=f"this folder cannot be made or used: {error.strerror}",
            remedy="Make it, private to you",
        ) from error
    return path


def _require_ours(path: Path, found: os.stat_result) -> None:
    """Raise NotReady unless this is a folder that is ours alone, or can safely be made so."""
    if not stat.S_ISDIR(found.st_mode):
        wrong = "it is a link" if stat.S_ISLNK(found.st_mode) else "it is none"
        remedy = "Remove it"
    elif found.st_uid != os.geteuid():
        wrong, remedy = f"it belongs to user {found.st_uid}", "Run this as that user, or move it away"
    elif found.st_mode & 0o022:
        wrong = "others can write in it"
        remedy = f"When all that is in it is yours: chmod 700 {shlex.quote(str(path))}"
    else:
        return
    raise NotReady(where=str(path), what=f"this must be a folder of yours alone, but {wrong}", remedy=remedy)


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Replace `path` by `text` in one step, with `mode`, flushed; readers see the old or the new content."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        os.fchmod(stream.fileno(), mode)
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def write_if_changed(path: Path, text: str, *, mode: int = 0o600) -> bool:
    """Like `write`, but only when the content differs. Returns True when it was written."""
    try:
        if path.read_text(encoding="utf-8") == text:
            return False
    except (FileNotFoundError, UnicodeDecodeError):
        pass
    write(path, text, mode=mode)
    return True


def append_line(path: Path, line: bytes, *, first: bytes = b"") -> None:
    """Add a line (it ends with a line end) to a file of lines, flushed; one that a crash cut short goes.

    Args:
        path: the file; made, private to us, when it is not there.
        line: what to add.
        first: what a new file begins with.
    """
    new = not path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "r+b") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        whole = stream.read().rfind(b"\n") + 1
        stream.seek(whole)
        stream.truncate()
        stream.write(line if whole else first + line)
        stream.flush()
        os.fsync(stream.fileno())
    if new:
        sync_folder(path.parent)


def whole_lines(path: Path) -> list[bytes]:
    """Return the lines without their ends, but for one that a crash cut short; others may be adding."""
    with path.open("rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_SH)  # a line cut short is never seen half replaced by the next one
        return stream.read().split(b"\n")[:-1]
