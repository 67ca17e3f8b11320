"""The root helper as a file to install, and how an administrator permits a user to run it.

Standard library only: `./muster` asks for it before anything is installed, so that all an administrator must
do is said at once.
"""

from __future__ import annotations

import io
import os
import pwd
import re
import shlex
import sys
from pathlib import Path
from zipfile import ZipFile, ZipInfo

from provision.core.errors import NotReady
from provision.core.paths import PROJECT, own_folder

PACKAGE = Path(__file__).resolve().parent / "helper"
LIBRARY = PROJECT / "node" / "muster_node"
SHARED = ("__init__.py", "clean.py", "needed.py", "packaging.py")
"""What the helper uses of the nodes' library."""
INSTALLED = Path("/usr/local/libexec/muster-local")
INTERPRETER = "/usr/bin/python3 -ISXutf8"
INSTALL = ("install", "-D", "-o", "root", "-g", "root", "-m", "0755")
WARNING = "Whoever may run the helper is in practice root on this computer"
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


def archive() -> bytes:
    """Return the helper as one executable file: always the same bytes for the same source."""
    sources = (*sorted(PACKAGE.glob("*.py")), *(LIBRARY / name for name in SHARED))
    files = {f"{path.parent.name}/{path.name}": path.read_bytes() for path in sources}
    files["__main__.py"] = b"from helper.main import main\n\nraise SystemExit(main())\n"
    target = io.BytesIO()
    target.write(f"#!{INTERPRETER}\n".encode())
    with ZipFile(target, "w") as made:
        for name, content in files.items():
            made.writestr(ZipInfo(name, (2000, 1, 1, 0, 0, 0)), content)
    return target.getvalue()


def installed() -> bool:
    """Say whether the helper is installed as it is here."""
    try:
        return INSTALLED.read_bytes() == archive()
    except OSError:
        return False


def command() -> str:
    """Return the command, one line, with which an administrator permits this user to run local machines.

    Raises:
        NotReady: there is no folder for the helper to be installed from.
    """
    file = own_folder() / INSTALLED.name
    file.write_bytes(archive())
    rule = f"{_sudoer()} ALL=(root) NOPASSWD: {INSTALLED}"
    rules = f"/etc/sudoers.d/muster-{_uid()}"  # sudo passes over names with a dot, which a user's may have
    return (
        f"sudo install -D -o root -m 0755 {shlex.quote(str(file))} {INSTALLED} && "
        f"echo {shlex.quote(rule)} | sudo install -m 0440 /dev/stdin {rules}"
    )


def _sudoer() -> str:
    """Return this user as a sudoers file names one: by number where a name would have to be masked there."""
    try:
        name = pwd.getpwuid(_uid()).pw_name
    except KeyError:
        name = ""
    return name if _PLAIN_NAME.fullmatch(name) else f"#{_uid()}"


def _uid() -> int:
    return os.geteuid()


def main() -> None:
    """Print the command, with the warning as a comment, unless there is nothing to permit."""
    try:
        said = "" if installed() else f"{command()} # {WARNING.lower()}"
    except NotReady as error:
        said = f"# {error}"
    sys.stdout.write(said)


if __name__ == "__main__":
    main()
