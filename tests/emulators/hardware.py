"""Machines as clouds have them: from Debian's official image, with a disk of their own, in no user namespace.

Each has a public address as well, by which machines and this computer reach it, and as which they see it come.
A node's root may mount nothing in its user namespace, so the helper mounts its data disk. A cloud's machine is given
a bare disk, and what first boot and roles make of that is worth a test; and it boots from an image that is not ours.
This is the helper with these differences, as a program: `python hardware.py FOLDER-OF-HELPER FOLDER-OF-LIBRARY
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
CALLER = "198.51.100.7"
"""This computer's address as the internet sees it."""


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
    # What stands for services in the internet listens on this computer; and machines alone say what may reach them.
    rules: Callable[..., str] = network._table
    closed = re.compile(r" chain (in|out)put \{.*?\n \}\n", re.DOTALL)

    def table(one: Any, clients: Any) -> str:
        inside = closed.sub("", rules(one, clients)).rstrip().removesuffix("}")
        inside = inside.replace(
            "ct status dnat", f"ct status dnat ct original ip daddr != {public('10.77.0.0/16')}"
        )
        return f"{inside}{_translation(one, network.BRIDGES)}}}\n"

    network._table = table
    up: Callable[..., None] = network.up

    def up_with_public_addresses(one: Any, clients: Any = None) -> None:
        up(one, clients)
        network.run(["ip", "route", "replace", public(one.subnet), "dev", one.bridge])

    network.up = up_with_public_addresses
    bind, mount, act = idmap.bind, idmap.mount_overlay, idmap.as_root_of
    idmap.bind = lambda source, target, first, **how: bind(source, target, 0, **how)
    idmap.mount_overlay = lambda name, target, options, first: mount(name, target, options, 0)
    idmap.as_root_of = lambda first, action: act(0, action)


def public(private: str) -> str:
    """Return the public address (or network) of a private one: of those that are for tests of networks."""
    return ".".join(["198.18", *private.split(".")[2:]])


def _translation(one: Any, bridges: str) -> str:
    """Return the chains by which machines are reached at their public addresses, and come from them.

    Who else calls there, this computer or a cluster of its own, is seen as CALLER.
    """
    private, own = one.subnet, public(one.subnet)
    there, here = (
        f"ip prefix to ip {way} map {{ {before} : {after} }}"
        for way, before, after in (("daddr", own, private), ("saddr", private, own))
    )
    return (
        f" chain reached {{ type nat hook prerouting priority dstnat; policy accept;\n"
        f"  ip daddr {own} dnat {there}\n }}\n"
        f" chain from_here {{ type nat hook output priority -100; policy accept;\n"
        f"  ip daddr {own} dnat {there}\n }}\n"
        f" chain seen {{ type nat hook postrouting priority srcnat - 2; policy accept;\n"
        f'  ip saddr {private} ip saddr != {one.gateway} oifname "{bridges}" ct status dnat snat {here}\n }}\n'
        f" chain others {{ type nat hook postrouting priority srcnat - 1; policy accept;\n"
        f'  oifname "{one.bridge}" ct status dnat snat to {CALLER}\n }}\n'
    )


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
