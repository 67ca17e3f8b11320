"""Many files, directories and links of one role in one round trip."""

from __future__ import annotations

import grp
import json
import os
import pwd
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: muster_files
short_description: Write many files, directories and links in one round trip
description:
  - Renders the templates on the control machine and sends all at once; writes only what differs, atomically.
  - Missing parent directories are created (root, 0755).
  - Reloads systemd's units when a unit file changed and systemd runs.
author: Muster
options:
  files:
    type: list
    elements: dict
    required: true
    description:
      - Entries with C(dest) and one of C(template) (of the role), C(file) (of the role), C(content),
        C(directory) (true) or C(link) (what it points to).
      - C(owner) and C(group) default to root; C(mode) to 0644, for directories 0755.
      - C(vars) are variables for this entry's template alone.
      - C(secret) (true) keeps the content out of diffs.
  payload:
    type: str
    description: The rendered entries; set by the action plugin.
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

UNIT_FOLDER = "/etc/systemd/system"


def current(path: Path) -> dict[str, Any]:
    """What is at `path` now: kind (file, directory, link, other, absent), content, mode, uid, gid."""
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return {"kind": "absent", "content": b"", "mode": None, "uid": None, "gid": None}
    found: dict[str, Any] = {"content": b"", "uid": status.st_uid, "gid": status.st_gid}
    found["mode"] = stat.S_IMODE(status.st_mode)
    if stat.S_ISLNK(status.st_mode):
        return found | {"kind": "link", "content": str(path.readlink()).encode()}
    if stat.S_ISDIR(status.st_mode):
        return found | {"kind": "directory"}
    if stat.S_ISREG(status.st_mode):
        return found | {"kind": "file", "content": path.read_bytes()}
    return found | {"kind": "other"}


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


def apply(path: Path, now: dict[str, Any], wish: dict[str, Any]) -> None:
    """Make `path` as wished, atomically where it is a file or link. Raises OSError."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    if wish["kind"] == "directory":
        if now["kind"] != "directory":
            path.mkdir()
        os.chown(path, wish["uid"], wish["gid"])
        path.chmod(wish["mode"])
        return
    if now["kind"] == "directory":
        raise IsADirectoryError(f"{path} is a directory")
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".muster-") as folder:
        new = Path(folder) / "new"
        if wish["kind"] == "link":
            new.symlink_to(wish["content"].decode())
        else:
            new.touch(mode=0o600)
            new.write_bytes(wish["content"])
            os.chown(new, wish["uid"], wish["gid"])
            new.chmod(wish["mode"])
        new.replace(path)


def difference(path: str, now: dict[str, Any], wish: dict[str, Any], secret: bool) -> dict[str, str]:
    """One entry of Ansible's diff list."""

    def text(side: dict[str, Any]) -> str:
        if side["kind"] == "absent":
            return ""
        head = "".join(f"# {key}: {side[key]:o}\n" for key in ("mode",) if side[key] is not None)
        body = "(secret)\n" if secret else side["content"].decode(errors="replace")
        return head + body

    return {"before_header": path, "after_header": path, "before": text(now), "after": text(wish)}


def main() -> None:
    """Entry point of the module."""
    module = AnsibleModule(
        argument_spec={
            "payload": {"type": "str", "required": True, "no_log": True},
        },
        supports_check_mode=True,
    )
    changed: list[str] = []
    diffs: list[dict[str, str]] = []
    for entry in json.loads(module.params["payload"]):
        path, wish = Path(entry["dest"]), wished(entry)
        now = current(path)
        if not differs(now, wish):
            continue
        changed.append(str(path))
        if module._diff:
            diffs.append(difference(str(path), now, wish, bool(entry.get("secret"))))
        if module.check_mode:
            continue
        for key, field in (("uid", "owner"), ("gid", "group")):
            if wish[key] is None:
                module.fail_json(msg=f"{path}: there is no {field} {entry[field]} on this machine")
        try:
            apply(path, now, wish)
        except OSError as error:
            reason = error.strerror or str(error)
            module.fail_json(msg=f"{path} could not be written: {reason}", changed_paths=changed)
    units = any(path.startswith(UNIT_FOLDER) for path in changed)
    if units and not module.check_mode and Path("/run/systemd/system").is_dir():
        subprocess.run(["/usr/bin/systemctl", "daemon-reload"], check=True)
    module.exit_json(changed=bool(changed), changed_paths=changed, diff=diffs)


if __name__ == "__main__":
    main()
