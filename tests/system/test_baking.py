"""Images baked with what the user adds: killed in the middle, failing, and as wished."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import time
from pathlib import Path

import pytest

from provision.config.load import load_config
from provision.images import recipe
from provision.providers.local import images
from tests.system.lab import registry

SMALL = {"master": {"cores": 2, "memory_gb": 3, "data_disk_gb": 1}}
HELD = """\
dpkg-query -W -f '${Status}\\n' hello; /opt/muster/venv/bin/python -c 'import iniconfig; print("imported")'
cat /etc/made-here
"""


@pytest.fixture
def own(labs):
    """A cluster whose image nobody else has, with packages and a set-up script; the image goes with it."""
    lab = labs(nodes=1, groups=SMALL, packages={"apt": ["hello"], "pip": ["iniconfig"]}, setup="setup.sh")
    yield lab
    lab.destroy()
    if (key := key_of(lab)) in images.layers():
        images.remove(key)


def key_of(lab) -> str:
    spec = load_config(lab.config)
    return recipe.node_recipe(spec, spec.group("master")).key


def builder_of(lab) -> str:
    return f"image-{key_of(lab)[:8]}"


def builder_left(lab) -> list[str]:
    """What there still is of the builder of the cluster's image."""
    name = builder_of(lab)
    found = registry()
    left = [
        one["name"] for kind in ("nodes", "networks") for one in found[kind].values() if name in one["name"]
    ]
    return left + [str(path) for path in lab.state.glob(f"{name}*")]


def kill_everything(lab) -> None:
    """Kill -9 all that works for the cluster, Ansible's workers included, which have sessions of their own."""
    mark = f"MUSTER_STATE={lab.state}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                os.kill(int(folder.name), signal.SIGKILL)


@pytest.mark.long
def test_a_killed_bake_is_made_good_by_the_same_command(own, leftovers):
    """And machines boot with what the user asked for."""
    word = secrets.token_hex(8)
    (own.folder / "setup.sh").write_text(f"echo {word} > /etc/made-here\n")
    with leftovers(own):
        started = own.start("start_cluster.yml")
        while started.process.poll() is None and not started.said("hdfs : Install HDFS"):
            time.sleep(0.1)
        assert started.process.poll() is None
        kill_everything(own)
        started.process.wait()
        assert builder_left(own) and key_of(own) not in images.layers()
        own.playbook("start_cluster.yml").ok()
        assert not builder_left(own)
        found = own.ssh(own.master, HELD).ok().answer.splitlines()
        assert found == ["install ok installed", "imported", word]
        again = own.playbook("start_cluster.yml").ok()
        assert again.changed == 0
        own.destroy().ok()


@pytest.mark.long
def test_a_failing_setup_is_told_with_its_last_lines(own, leftovers):
    (own.folder / "setup.sh").write_text("echo looking\necho the licence has run out >&2\nexit 3\n")
    with leftovers(own):
        failed = own.playbook("start_cluster.yml")
        node = f"{builder_of(own)}-master"
        failed.refused(rf"ended with status 3 on {node}; its last lines: looking \| the licence has run out")
        assert not own.machines() and key_of(own) not in images.layers()
        log = own.state / f"{builder_of(own)}.log"
        assert str(log) in failed.output and "the licence has run out" in log.read_text()
        log.unlink()
        assert not builder_left(own)
