"""Many files, directories and links of one role in one round trip."""

from __future__ import annotations

import contextlib
import grp
import importlib.util
import os
import pwd
import py_compile
import secrets
import stat
import struct
import subprocess
from pathlib import Path
from typing import Any

DOCUMENTATION = r"""
module: muster_files
short_description: Write many files, directories and links in one round trip
description:
  - Renders the templates on the control machine and sends all at once; writes only what differs, atomically.
  - Missing parent directories are created (root, 0755).
  - A symbolic link on the way to a file is followed only where nobody but root could have put it.
  - Reloads systemd's units when a unit file changed and systemd runs.
  - With C(units) it then does what M(muster_units) does with them, in the same round trip.
author: Muster
options:
  files:
    type: list
    elements: dict
    required: true
    description:
      - Entries with C(dest) and one of C(template) (of the role), C(file) (of the role), C(content),
        C(directory) (true), C(link) (what it points to) or C(tree) (a folder of the control machine that is
        copied with all below it, without byte code; what else is there stays).
      - C(owner) and C(group) default to root; C(mode) to 0644, for directories 0755.
      - C(block) (true) keeps the rest of the file and owns only the lines between two marks.
      - C(vars) are variables for this entry's template alone.
      - C(secret) (true) keeps the content out of diffs.
      - C(compile) (true) makes the byte code of a C(tree)'s Python files, as who runs them may not write it
        there and would compile them anew each time.
      - C(validate) (a list) is a program with arguments, which gets the new file as its last one; the file is
        put in place only when it ends with status 0.
  units:
    type: list
    elements: dict
    description: Units that are brought into C(state) when the files are written; as of M(muster_units).
  state:
    type: str
    choices: [started, reloaded, restarted, stopped]
    default: started
    description: As of M(muster_units).
  wait:
    type: bool
    default: false
    description: As of M(muster_units).
"""
EXAMPLES = r"""
- name: Write the settings
  muster_files:
    files:
      - {dest: /etc/hadoop/core-site.xml, template: core-site.xml.j2}
      - {dest: /etc/spark/secret, content: "{{ secret }}", group: hadoop, mode: "0640", secret: true}
"""
RETURN = r"""
changed_paths:
  description: Paths that were written (in check mode - that would be written).
  type: list
  elements: str
  returned: always
"""

MARKS = ("# Muster begins", "# Muster ends")
UNIT_FOLDER = "/etc/systemd/system"


def open_folder(path: Path, *, create: bool) -> int | None:
    """Open a folder without being led astray; returns its descriptor, None when it is missing.

    A symbolic link on the way is followed only where nobody but root could have put it.

    Args:
        path: an absolute path.
        create: whether missing folders are made (root, 0755).

    Raises:
        OSError: no folder, or a link that somebody else may have made.
    """
    here = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in path.parts[1:]:
            below = _open_part(here, part, create=create)
            if below is None:
                return None
            os.close(here)
            here = below
        return os.dup(here)
    finally:
        os.close(here)


def _open_part(here: int, part: str, *, create: bool) -> int | None:
    folder = os.O_RDONLY | os.O_DIRECTORY
    try:
        status = os.stat(part, dir_fd=here, follow_symlinks=False)
    except FileNotFoundError:
        if not create:
            return None
        os.mkdir(part, 0o755, dir_fd=here)
        return os.open(part, folder | os.O_NOFOLLOW, dir_fd=here)
    if not stat.S_ISLNK(status.st_mode):
        return os.open(part, folder | os.O_NOFOLLOW, dir_fd=here)
    keeper = os.fstat(here)
    if keeper.st_uid or stat.S_IMODE(keeper.st_mode) & 0o022:
        raise OSError(f"{part} is a symbolic link that is not followed, for it need not be root's; remove it")
    return os.open(part, folder, dir_fd=here)


def current(folder: int | None, name: str) -> dict[str, Any]:
    """What `name` in a folder is: kind (file, directory, link, other, absent), content, mode, uid, gid."""
    absent = {"kind": "absent", "content": b"", "mode": None, "uid": None, "gid": None}
    if folder is None:
        return absent
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return absent
    found: dict[str, Any] = {"content": b"", "uid": status.st_uid, "gid": status.st_gid}
    found["mode"] = stat.S_IMODE(status.st_mode)
    if stat.S_ISLNK(status.st_mode):
        return found | {"kind": "link", "content": os.readlink(name, dir_fd=folder).encode()}
    if stat.S_ISDIR(status.st_mode):
        return found | {"kind": "directory"}
    if stat.S_ISREG(status.st_mode):
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        with os.fdopen(handle, "rb") as file:
            return found | {"kind": "file", "content": file.read()}
    return found | {"kind": "other"}


def merged(text: str, block: str) -> str:
    """`text` with `block` between the marks, at its end when it has none yet."""
    first, last = MARKS
    head, _, rest = text.partition(f"{first}\n")
    tail = rest.partition(f"{last}\n")[2]
    if head and not head.endswith("\n"):
        head += "\n"
    return f"{head}{first}\n{block}{last}\n{tail}"


def wished(entry: dict[str, Any]) -> dict[str, Any]:
    """What should be there. uid/gid are None for an account that does not exist (yet)."""
    kind = "link" if "link" in entry else "directory" if entry.get("directory") else "file"
    content = entry["link"] if kind == "link" else entry.get("content", "")
    mode = int(str(entry.get("mode") or ("0755" if kind == "directory" else "0644")), 8)
    return {
        "kind": kind,
        "content": content.encode(),
        "mode": None if kind == "link" else mode,
        "uid": _id(pwd.getpwnam, entry.get("owner"), 2),
        "gid": _id(grp.getgrnam, entry.get("group"), 2),
        "block": bool(entry.get("block")),
        "validate": entry.get("validate"),
    }


def _id(lookup: Any, name: str | None, index: int) -> int | None:  # noqa: ANN401  two look-ups
    try:
        return int(lookup(name or "root")[index])
    except KeyError:
        return None


def differs(now: dict[str, Any], wish: dict[str, Any]) -> bool:
    """True when something has to be done to make `now` what `wish` says."""
    keys = ("kind", "content") if wish["kind"] == "link" else ("kind", "content", "mode", "uid", "gid")
    return any(now[key] != wish[key] for key in keys)


def apply(folder: int, name: str, now: dict[str, Any], wish: dict[str, Any]) -> None:
    """Make `name` in a folder as wished, atomically if a file or link. Raises OSError, ValueError."""
    if wish["kind"] == "directory":
        if now["kind"] != "directory":
            os.mkdir(name, dir_fd=folder)
        made = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
        try:
            _give(made, wish)
        finally:
            os.close(made)
        return
    if now["kind"] == "directory":
        raise IsADirectoryError(f"{name} is a directory")
    new = f".muster-{secrets.token_hex(8)}"
    try:
        if wish["kind"] == "link":
            os.symlink(wish["content"].decode(), new, dir_fd=folder)
        else:
            fresh = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=folder)
            with os.fdopen(fresh, "wb") as file:
                file.write(wish["content"])
                file.flush()
                _give(file.fileno(), wish)
            if wish["validate"]:
                check(wish["validate"], f"/proc/{os.getpid()}/fd/{folder}/{new}")
        os.replace(new, name, src_dir_fd=folder, dst_dir_fd=folder)
    except (OSError, ValueError):
        with contextlib.suppress(OSError):
            os.unlink(new, dir_fd=folder)
        raise


def check(program: list[str], path: str) -> None:
    """Let a program look at a file. Raises ValueError with its last line when it does not like it."""
    done = subprocess.run([*program, path], capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip() or f"status {done.returncode}").splitlines()
        raise ValueError(f"{' '.join(program)}: {lines[-1].replace(path, 'it')}")


def _give(opened: int, wish: dict[str, Any]) -> None:
    os.fchown(opened, wish["uid"], wish["gid"])
    os.fchmod(opened, wish["mode"])


def put(path: Path, wish: dict[str, Any], *, check_mode: bool = False) -> dict[str, Any] | None:
    """Make `path` as wished; returns what was there when that was something else, None when it is as wished.

    Raises:
        LookupError: there is no such account; its argument is `owner` or `group`.
        OSError: it cannot be written.
        ValueError: it is not what its program takes; what was there before stays.
    """
    folder = open_folder(path.parent, create=False)
    try:
        now = current(folder, path.name)
        if wish["block"]:
            text = merged(now["content"].decode(errors="surrogateescape"), wish["content"].decode())
            wish = {**wish, "content": text.encode(errors="surrogateescape")}
        if not differs(now, wish):
            return None
        if check_mode:
            return now
        for key, field in (("uid", "owner"), ("gid", "group")):
            if wish[key] is None:
                raise LookupError(field)
        if folder is None:
            folder = open_folder(path.parent, create=True)
        if folder is not None:
            apply(folder, path.name, now, wish)
        return now
    finally:
        if folder is not None:
            os.close(folder)


def compiled(path: Path, *, anew: bool) -> None:
    """Make the byte code of a Python file that is new, or has none of its own. Raises OSError, ValueError."""
    status, made = path.stat(), Path(importlib.util.cache_from_source(path))
    stamp = (0, int(status.st_mtime) & 0xFFFFFFFF, status.st_size & 0xFFFFFFFF)
    head = importlib.util.MAGIC_NUMBER + struct.pack("<3I", *stamp)  # see PEP 552
    if anew or not made.exists() or made.read_bytes()[: len(head)] != head:
        try:
            py_compile.compile(str(path), doraise=True)
        except py_compile.PyCompileError as error:
            raise ValueError(error.msg) from error


def difference(path: str, now: dict[str, Any], wish: dict[str, Any], secret: bool) -> dict[str, str]:
    """One entry of Ansible's diff list."""

    def text(side: dict[str, Any]) -> str:
        if side["kind"] == "absent":
            return ""
        head = "".join(f"# {key}: {side[key]:o}\n" for key in ("mode",) if side[key] is not None)
        body = "(secret)\n" if secret else side["content"].decode(errors="replace")
        return head + body

    return {"before_header": path, "after_header": path, "before": text(now), "after": text(wish)}


def run(entries: list[dict[str, Any]], *, check: bool, diff: bool) -> dict[str, Any]:
    """Write what differs of the rendered entries; return the result of the task.

    Args:
        entries: as in `files`, each with `content`, `link` or `directory`.
        check: whether only to say what would be written.
        diff: whether to say what was there before, and what is now.
    """
    changed: list[str] = []
    diffs: list[dict[str, str]] = []
    failure = ""
    for entry in entries:
        path = Path(entry["dest"])
        try:
            wish = wished(entry)
            now = put(path, wish, check_mode=check)
            if now is not None:
                changed.append(str(path))
                if diff:
                    diffs.append(difference(str(path), now, wish, bool(entry.get("secret"))))
            if entry.get("compile") and not check:
                compiled(path, anew=now is not None)
        except LookupError as error:
            failure = f"{path}: there is no {error.args[0]} {entry[error.args[0]]} on this machine"
        except ValueError as error:
            failure = f"{path} was left as it was: {error}"
        except OSError as error:
            failure = f"{path} could not be written: {error.strerror or error}"
        if failure:
            break
    # Also after a failure: the next run finds these files as they should be.
    units = any(path.startswith(UNIT_FOLDER) for path in changed)
    if units and not check and Path("/run/systemd/system").is_dir():
        subprocess.run(["/usr/bin/systemctl", "daemon-reload"], check=True)
    result = {"changed": bool(changed), "changed_paths": changed, "diff": diffs}
    return result | {"failed": True, "msg": failure} if failure else result
