"""User namespaces of nodes: a range of user ids each, and mounts that show a tree as if that range owned it.

On the disk everything of a node belongs to the numbers that the node itself sees (0 is its root); an idmapped
mount (Linux 5.12, below an overlay 5.19) adds the node's first id to them. So images are shared without being
copied or changed, and whatever leaves a node's root is nobody on this computer.
"""

from __future__ import annotations

import contextlib
import ctypes
import grp
import os
import pwd
import subprocess
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

from .errors import HelperError
from .system import ENVIRONMENT

COUNT = 65536
"""Ids of a node."""
FIRST, LAST = 524_288, 1_879_048_191
"""Ids that systemd keeps for containers: https://systemd.io/UIDS-GIDS/."""
SUBORDINATE = (Path("/etc/subuid"), Path("/etc/subgid"))

# linux/mount.h, linux/fcntl.h, linux/securebits.h; these system calls have one number on every architecture.
OPEN_TREE, MOVE_MOUNT, MOUNT_SETATTR = 428, 429, 442
AT_FDCWD, AT_EMPTY_PATH = -100, 0x1000
OPEN_TREE_CLONE, OPEN_TREE_CLOEXEC = 0x1, 0o2000000
MOVE_MOUNT_F_EMPTY_PATH = 0x4
MOUNT_ATTR_IDMAP = 0x00100000
PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP = 28, 0x4


class _MountAttributes(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "user_namespace"))


@cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    libc.mount.argtypes = [ctypes.c_char_p] * 3 + [ctypes.c_ulong, ctypes.c_char_p]
    return libc


def _done(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return result


def choose(unit: str, taken: Iterable[int]) -> int:
    """Return the first id of a free range for a node.

    Args:
        unit: the node's; its digits decide where the search begins, so ranges are not soon used again.
        taken: first ids of the nodes that there are.

    Raises:
        HelperError: this computer's users have all of them.
    """
    ranges, used = range(FIRST, LAST + 2 - COUNT, COUNT), set(taken)
    begin = int(unit, 16) % len(ranges)
    foreign = _foreign()
    for candidate in (*ranges[begin:], *ranges[:begin]):
        if candidate not in used and not any(
            low < candidate + COUNT and candidate <= high for low, high in foreign
        ):
            return int(candidate)
    raise HelperError("no range of user ids is free for a node; see /etc/subuid", kind="not_ready")


def _foreign() -> list[tuple[int, int]]:
    """Ranges (first, last) that users of this computer and their containers have."""
    found = [(user.pw_uid, user.pw_uid) for user in pwd.getpwall()]
    found += [(group.gr_gid, group.gr_gid) for group in grp.getgrall()]
    for path in SUBORDINATE:
        for line in path.read_text().splitlines() if path.exists() else ():
            _, _, numbers = line.partition(":")
            first, _, count = numbers.partition(":")
            if first.isdecimal() and count.isdecimal():
                found.append((int(first), int(first) + int(count) - 1))
    return found


def bind(source: Path, target: Path, first: int, *, move: bool = False) -> None:
    """Show the tree at `source` also at `target`, its owners raised by `first`.

    Args:
        source: a folder.
        target: a folder that exists.
        first: the first id of the node.
        move: `source` is a mount, and goes away.

    Raises:
        OSError: this kernel, or the file system that `source` lies on, has no idmapped mounts.
    """
    libc = _libc()
    with _shown(source, first) as tree:
        if move:
            _done(libc.umount2(os.fsencode(source), 0), str(source))
        done = libc.syscall(MOVE_MOUNT, tree, b"", AT_FDCWD, os.fsencode(target), MOVE_MOUNT_F_EMPTY_PATH)
        _done(done, str(target))


def require(folder: Path) -> None:
    """See that trees below a folder can be shown with other owners; nothing is mounted for that.

    Raises:
        OSError: as `bind`.
    """
    with _shown(folder, FIRST):
        pass


@contextlib.contextmanager
def _shown(source: Path, first: int) -> Iterator[int]:
    """A descriptor of the tree at `source` with its owners raised by `first`; it has no place yet."""
    libc, namespace = _libc(), _user_namespace(first)
    tree = -1
    try:
        flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC
        tree = _done(int(libc.syscall(OPEN_TREE, AT_FDCWD, os.fsencode(source), flags)), str(source))
        wanted = _MountAttributes(set=MOUNT_ATTR_IDMAP, user_namespace=namespace)
        size = ctypes.sizeof(wanted)
        done = libc.syscall(MOUNT_SETATTR, tree, b"", AT_EMPTY_PATH, ctypes.byref(wanted), size)
        _done(done, str(source))
        yield tree
    finally:
        os.close(namespace)
        if tree >= 0:
            os.close(tree)


def _user_namespace(first: int) -> int:
    """Return a descriptor of a new user namespace whose ids from 0 are this computer's from `first`."""
    with subprocess.Popen(
        ["unshare", "--user", "sh", "-c", "echo; read -r end"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT,
    ) as holder:  # fmt: skip
        if not (holder.stdout and holder.stdout.readline()):
            reason = holder.stderr.read().decode(errors="replace") if holder.stderr else ""
            raise OSError(0, reason.strip().rpartition(": ")[2] or "no reason given", "user namespace")
        for kind in ("uid_map", "gid_map"):
            Path(f"/proc/{holder.pid}/{kind}").write_text(f"0 {first} {COUNT}")
        return os.open(f"/proc/{holder.pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)


def mount_overlay(name: str, target: Path, options: str, first: int) -> None:
    """Mount an overlay whose changes are made as the node's root.

    Raises:
        OSError: the kernel refused.
    """

    def mount() -> None:
        _done(_libc().mount(name.encode(), os.fsencode(target), b"overlay", 0, options.encode()), str(target))

    as_root_of(first, mount)


def as_root_of(first: int, action: Callable[[], Any]) -> None:
    """Do something with files as the root of a node; with all rights here, but owner of what is made.

    In a thread of its own: the file-system ids of a thread are nobody else's. Raises what the action raises.
    """

    def act() -> None:
        libc = _libc()
        _done(libc.prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0), "securebits")
        libc.setfsuid(first)
        libc.setfsgid(first)
        action()

    with ThreadPoolExecutor(max_workers=1) as thread:
        thread.submit(act).result()
