"""Machines as clouds have them: from Debian's official image, with a disk of their own, in no user namespace.

A node's root may mount nothing in its user namespace, so the helper mounts its data disk. A cloud's machine is given
a bare disk, and what first boot and roles make of that is worth a test; and it boots from an image that is not ours.
This is the helper with these two differences, as a program: `python hardware.py FOLDER-OF-HELPER FOLDER-OF-LIBRARY
VERB`, request and answer as the helper has them.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

DEVICE = "/dev/xvdc"


def call(verb: str, request: Mapping[str, Any]) -> Any:
    """Let the helper carry out a verb on such machines; raises HelperFailed as the client does."""
    from provision.providers.local import client, permission

    folders = [str(permission.PACKAGE.parent), str(permission.LIBRARY.parent)]
    words = [sys.executable, "-I", "-S", str(Path(__file__)), *folders, verb]
    done = subprocess.run(words, input=json.dumps(request), capture_output=True, text=True, check=False)
    answer = json.loads(done.stdout)
    if "ok" in answer:
        return answer["ok"]
    raise client.HelperFailed(answer["kind"], answer["error"])


def with_bare_disks() -> None:
    """Turn the imported helper into one whose nodes have this computer's user ids, and a disk of their own."""
    from helper import cgroups, disks, idmap, network, supervisor  # type: ignore[import-not-found]

    plain: Callable[..., list[str]] = supervisor.command
    cgroups.DEVICES = (*cgroups.DEVICES, "b 7:*")
    supervisor.UNIT_DEVICES = (*supervisor.UNIT_DEVICES, "block-loop rw")

    def command(node: Any) -> list[str]:
        line = [word for word in plain(node) if not word.startswith("--private-users")]
        if not node.disk_gb:
            return line
        file = node.directory / "data.img"
        if not file.exists():
            with file.open("wb") as bare:
                bare.truncate(node.disk_gb * 1024**3)
        return [*line, f"--bind={disks.attach(node, file)}:{DEVICE}"]

    supervisor.command = command
    disks.mount_data = lambda node: None
    # What stands for services in the internet listens on this computer.
    rules: Callable[..., str] = network._table
    closed = re.compile(r" chain input \{.*?\n \}\n", re.DOTALL)
    network._table = lambda *words: closed.sub("", rules(*words))
    bind, mount, act = idmap.bind, idmap.mount_overlay, idmap.as_root_of
    idmap.bind = lambda source, target, first, **how: bind(source, target, 0, **how)
    idmap.mount_overlay = lambda name, target, options, first: mount(name, target, options, 0)
    idmap.as_root_of = lambda first, action: act(0, action)


def with_the_official_image() -> None:
    """Let the imported helper's base image be Debian's, not ours."""
    import official  # type: ignore[import-not-found]
    from helper import bootstrap

    bootstrap.build, bootstrap.recipe = official.build, official.recipe


if __name__ == "__main__":
    sys.path[:0] = [*sys.argv[1:3], str(Path(__file__).parent)]
    del sys.argv[1:3]
    with_bare_disks()
    with_the_official_image()
    from helper.main import main  # type: ignore[import-not-found]

    raise SystemExit(main())
