"""Running programs, writing files that survive a crash, and one progress line."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from .errors import HelperError

T = TypeVar("T")
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/root"}


def run(
    command: Sequence[str], *, stdin: str | None = None, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end with a clean environment.

    Raises:
        HelperError: it is missing, or it failed and `check` is set; the message is what it said of that.
    """
    try:
        done = subprocess.run(
            command, input=stdin, stdin=None if stdin is not None else subprocess.DEVNULL,
            capture_output=True, text=True, errors="replace", env=ENVIRONMENT, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        raise HelperError(f"{command[0]} is not installed on this computer", kind="not_ready") from None
    if check and done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()
        said = next((line for line in lines if "Error: " in line), lines[-1])  # nft draws a picture below
        raise HelperError(f"{' '.join(command[:3])} failed ({done.returncode}): {said}")
    return done


def say(message: str) -> None:
    """One line of progress for the caller, as JSON on standard error."""
    with contextlib.suppress(OSError):  # the caller may be gone; the work goes on
        sys.stderr.write(json.dumps({"say": message}) + "\n")
        sys.stderr.flush()


def until(condition: Callable[[], T], deadline_s: float, interval_s: float = 0.01) -> T | None:
    """The first true result of `condition`, or None after `deadline_s` seconds."""
    end = time.monotonic() + deadline_s
    while not (result := condition()):
        if time.monotonic() >= end:
            return None
        time.sleep(interval_s)
    return result


def write(path: Path, content: str | bytes, mode: int = 0o644, *, durable: bool = False) -> None:
    """Replace a file atomically; `durable` also puts it on the disk before returning."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        if durable:
            os.fsync(file.fileno())
    temporary.rename(path)
    if durable:
        sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Put a directory's entries on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sysctl(name: str, at_least: int) -> None:
    """Raise a setting of this computer's kernel, named by its path below /proc/sys, and say so."""
    path = Path("/proc/sys", name)
    if int(path.read_text()) < at_least:
        path.write_text(str(at_least))
        say(f"set {name.replace('/', '.')} to {at_least} on this computer")


@contextlib.contextmanager
def locked(path: Path, *, waiting: str = "", deadline_s: float = 600) -> Iterator[None]:
    """Hold an exclusive lock that dies with this process, however it ends; the holder may delete its file.

    Args:
        path: the lock's file.
        waiting: what to say when somebody else holds it.
        deadline_s: seconds to wait for it.

    Raises:
        HelperError: it was not free in time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = _take(path)
    if descriptor is None:
        if waiting:
            say(waiting)
        descriptor = until(lambda: _take(path), deadline_s, 0.02)
    if descriptor is None:
        raise HelperError(
            f"another run holds {path} for more than {deadline_s:g} s; wait for it, then try again"
        )
    try:
        yield
    finally:
        os.close(descriptor)


def _take(path: Path) -> int | None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.stat().st_ino == os.fstat(descriptor).st_ino:
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None


def remove_tree(path: Path) -> None:
    """Delete a directory, first moved aside so that nobody can take the half-deleted rest for the whole.

    Raises:
        HelperError: something is still mounted below it.
    """
    if not path.exists():
        return
    doomed = path if path.name.startswith(".gone-") else path.with_name(f".gone-{path.name}-{os.getpid()}")
    if doomed != path:
        path.rename(doomed)
    below = f"{doomed}/"
    if any(point.startswith(below) for point in mount_points()):
        raise HelperError(f"{doomed} still has something mounted below it")
    # A node's root makes folders deeper than shutil.rmtree can follow.
    run(["rm", "--recursive", "--force", "--one-file-system", str(doomed)])


def mount_points() -> list[str]:
    """Every mount point of this namespace."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line.split()[4].encode().decode("unicode_escape") for line in lines]


def is_mounted(path: Path) -> bool:
    """Whether something is mounted there; unlike `Path.is_mount` also when it is of the same file system."""
    return str(path) in mount_points()
