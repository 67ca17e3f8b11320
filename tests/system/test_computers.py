"""The README's commands on fresh computers: what users have, not what this one has grown into."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from provision.images.recipe import NODE_ROLES, Recipe, store_recipe
from provision.providers.local import images
from provision.providers.local.helper.registry import ROOT
from tests.system.computer import USER, Computer
from tests.system.lab import Lab, eventually

ACCURACY = "accuracy 94.43%"
HOLD_LISTS = """
import fcntl, time
with open("/var/lib/apt/lists/lock", "w") as lock:
    fcntl.lockf(lock, fcntl.LOCK_EX)
    time.sleep(4)
"""


def baked(ready: Lab) -> list[str]:
    """The images of the demo, which the shared cluster and its store were booted from."""
    assert ready.machines()
    keys = {Recipe(roles=NODE_ROLES).key, store_recipe().key}
    newest = {image["key"]: image for image in reversed(images.list_images()) if image["key"] in keys}
    names = [path.name for path in (ROOT / "images").iterdir() if path.name.partition(".")[0] in keys]
    return [*names, *{image["base"] for image in newest.values()}]


@pytest.fixture
def computer(request: pytest.FixtureRequest, ready: Lab, tmp_path: Path) -> Iterator[Computer]:
    """A computer of the suite that the test names, with the images that are baked already."""
    made = Computer(request.param, tmp_path / "computer")
    try:
        made.make(baked(ready))
        yield made
    finally:
        made.close()


@pytest.mark.long
@pytest.mark.parametrize("computer", ["trixie"], indirect=True)
def test_debian_13(computer: Computer) -> None:
    """The demo beside another apt and a VPN, a killed node, a late firewall, three umasks; nothing left."""
    folder = "muster"
    computer.bring(folder)
    computer.boot()
    for owned in ("10.0.0.0/8", "0.0.0.0/1", "128.0.0.0/1"):
        computer.as_root(f"ip route add {owned} via {computer.net.gateway}").ok()
    computer.as_root(f"python3 -c {shlex.quote(HOLD_LISTS)} >/dev/null 2>&1 &").ok()

    def user(script: str) -> str:
        return computer.as_user(script, folder=folder).ok().output

    assert ACCURACY in user("./muster demo")

    units = computer.as_root("systemctl list-units --plain --no-legend 'muster-*.service'").ok().answer
    (unit,) = [line.split()[0] for line in units.splitlines() if "worker-2" in line]
    computer.as_root(f"kill -9 $(systemctl show --property=MainPID --value {unit})").ok()
    eventually(lambda: "stopped" in user("./muster status"), 30, "seen that a node is down")
    user("./muster up")
    assert "stopped" not in user("./muster status")

    helper = computer.as_root("sha256sum /usr/local/libexec/muster-local").ok().answer
    for umask in ("022", "002", "077"):
        user(f"umask {umask} && ./muster list")
    assert computer.as_root("sha256sum /usr/local/libexec/muster-local").ok().answer == helper

    computer.as_root("apt-get -qq install --no-install-recommends ufw >&2 && ufw --force enable").ok()
    assert "drops packets of 10.77." in user("./muster status")
    user("./muster up")
    assert "drops packets" not in user("./muster status")
    assert "succeeded" in user("./muster submit 'hdfs dfs -ls / && getent hosts deb.debian.org'")
    computer.as_root("iptables -S FORWARD && iptables -L FORWARD").ok()
    computer.as_root("ufw --force disable").ok()

    user("./muster ssh --admin worker-1 -- sudo journalctl -b -n 1")
    user("./muster destroy --yes")
    assert computer.traces() == []


@pytest.mark.parametrize("computer", ["bookworm"], indirect=True)
def test_debian_12(computer: Computer) -> None:
    """Without the right to; the demo in an odd folder, another locale, strict modes; a reboot; nothing left."""
    folder = "Bert's Cluster ü"
    computer.bring(folder)
    computer.boot()

    def user(script: str) -> str:
        return computer.as_user(f"umask 077\n{script}", folder=folder, settings={"LC_ALL": "C"}).ok().output

    computer.as_root(f"mv /etc/sudoers.d/{USER} /root/").ok()
    allowed = r"sudo apt-get install .*mmdebstrap.* && sudo install .*muster-local"
    computer.as_user("./muster demo", folder=folder).refused(allowed)
    computer.as_root(f"mv /root/{USER} /etc/sudoers.d/").ok()

    assert ACCURACY in user("./muster demo")
    words = "dreißig 'Wörter'"
    user(f"./muster ssh -- {shlex.quote(f'echo {shlex.quote(words)} | hdfs dfs -put - /user/hadoop/kept')}")

    computer.off()
    computer.boot()
    off = user("./muster status")
    assert "stopped" in off and "does not answer" not in off
    user("./muster up")
    assert words in user("./muster ssh -- hdfs dfs -cat /user/hadoop/kept")

    user("./muster destroy --yes")
    assert computer.traces() == []
