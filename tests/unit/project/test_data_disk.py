"""The program that mounts the data disk, with the real blkid and mkfs on a file that stands for the disk."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from provision.core.paths import PROJECT

PROGRAM = (PROJECT / "roles/base/templates/install/muster-data-disk.j2").read_text()
SBIN = f"{os.environ['PATH']}:/usr/sbin:/sbin"
SIZE = 16 * 2**20
FAKES = {
    "mountpoint": "exit 1",
    "mount": 'shift 2; echo "$1" >> mounted',
    "systemd-tmpfiles": "",
    "blockdev": "stat -c %s disk",
}


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A machine with an empty disk of 16 MiB."""
    for name, script in FAKES.items():
        fake(tmp_path, name, script)
    (tmp_path / "disk").write_bytes(b"")
    os.truncate(tmp_path / "disk", SIZE)
    return tmp_path


def fake(machine: Path, name: str, script: str) -> None:
    path = machine / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def start(machine: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Start the unit's program."""
    program = PROGRAM.replace("/etc/muster", str(machine)).replace("mark=", f"cd {machine}\nmark=", 1)
    environment = {
        "PATH": f"{machine}/bin:{SBIN}",
        "DATA_DEVICE": str(machine / "disk"),
        "DATA_WAIT_S": "1",
    }
    return subprocess.run(
        ["/bin/sh", "-c", program], env=environment | settings, capture_output=True, text=True, check=False
    )


def kind(machine: Path) -> str:
    words = ["blkid", "-p", "-s", "TYPE", "-o", "value", machine / "disk"]
    found = subprocess.run(words, env={"PATH": SBIN}, capture_output=True, text=True, check=False)
    return found.stdout.strip()


def mounted(machine: Path) -> bool:
    return (machine / "mounted").exists()


def test_it_is_sound_shell() -> None:
    shellcheck = [Path(sys.executable).with_name("shellcheck"), "-"]
    subprocess.run(shellcheck, input=PROGRAM, text=True, check=True)


def test_an_empty_disk_gets_a_file_system_once(machine: Path) -> None:
    assert start(machine).returncode == 0
    assert kind(machine) == "ext4"
    first = (machine / "disk").read_bytes()
    assert start(machine).returncode == 0
    assert (machine / "disk").read_bytes() == first
    assert len((machine / "mounted").read_text().splitlines()) == 2


def test_a_disk_that_comes_late_is_waited_for(machine: Path) -> None:
    (machine / "disk").rename(machine / "later")
    timer = threading.Timer(0.5, (machine / "later").rename, [machine / "disk"])
    timer.start()
    done = start(machine, DATA_WAIT_S="20")
    timer.join()
    assert (done.returncode, kind(machine)) == (0, "ext4")


def test_a_disk_that_never_comes_is_said_in_one_line(machine: Path) -> None:
    (machine / "disk").unlink()
    done = start(machine)
    assert done.returncode
    assert done.stderr == (
        f"muster-data-disk: {machine}/disk is not there after 1 s; is the data disk still attached?\n"
    )


ANYTHING = {
    "partition table": {446: bytes((0, 0, 2, 0, 0x83, 0, 3, 0, 0, 8, 0, 0, 0, 16, 0, 0)), 510: b"\x55\xaa"},
    "encrypted": {0: b"LUKS\xba\xbe\x00\x01"},
    "swap": {1024: b"\x01\0\0\0\xff\x0f\0\0", 4086: b"SWAPSPACE2"},
}


@pytest.mark.parametrize("what", list(ANYTHING))
def test_a_disk_with_anything_on_it_is_never_formatted(machine: Path, what: str) -> None:
    with (machine / "disk").open("r+b") as disk:
        for offset, content in ANYTHING[what].items():
            disk.seek(offset)
            disk.write(content)
    before = (machine / "disk").read_bytes()
    start(machine)
    assert (machine / "disk").read_bytes() == before


@pytest.mark.parametrize(
    ("program", "script", "said"),
    [
        ("blkid", "exit 8", "blkid ended with status 8"),
        ("blkid", "exit 4", "blkid ended with status 4"),
        ("dd", "exit 1", "cannot be read"),
    ],
)
def test_a_disk_that_cannot_be_read_is_not_taken_for_an_empty_one(
    machine: Path, program: str, script: str, said: str
) -> None:
    """A read that fails, for a moment, looks like "no file system" to blkid."""
    fake(machine, program, script)
    done = start(machine)
    assert done.returncode
    assert said in done.stderr
    assert not mounted(machine)
    assert kind(machine) == ""


def test_a_disk_that_was_ours_and_shows_nothing_now_is_left_alone(machine: Path) -> None:
    assert start(machine).returncode == 0
    (machine / "mounted").unlink()
    (machine / "disk").write_bytes(bytes(SIZE))
    done = start(machine)
    assert done.returncode
    assert "had a file system of ours and shows none now" in done.stderr
    assert not mounted(machine)
    (machine / "disk").write_bytes(bytes(2 * SIZE))  # another disk in its place
    assert (start(machine).returncode, kind(machine)) == (0, "ext4")


def test_it_needs_nothing_when_there_is_no_data_disk(machine: Path) -> None:
    shutil.rmtree(machine / "bin")
    fake(machine, "systemd-tmpfiles", "")
    assert start(machine, DATA_DEVICE="").returncode == 0
