"""The helper as one file, and the line with which an administrator permits it."""

from __future__ import annotations

import os
import pwd
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from provision.core.paths import PROJECT
from provision.providers.local import permission


def test_the_helper_as_one_file_runs(tmp_path: Path) -> None:
    file = tmp_path / "muster-local"
    file.write_bytes(permission.archive())
    done = subprocess.run(
        [sys.executable, "-IS", file, "nonsense"], input="{}", capture_output=True, text=True, check=False
    )
    assert "unknown verb" in done.stdout


def test_its_bytes_are_the_same_under_every_umask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    for umask in (0o002, 0o022, 0o077):
        before = os.umask(umask)
        try:  # a checkout of its own, as somebody with this umask has it
            source = tmp_path / oct(umask) / "helper"
            source.mkdir(parents=True)
            for path in permission.PACKAGE.glob("*.py"):
                (source / path.name).write_bytes(path.read_bytes())
            monkeypatch.setattr(permission, "PACKAGE", source)
            made.append(permission.archive())
        finally:
            os.umask(before)
    assert made[0] == made[1] == made[2]


@pytest.mark.parametrize(
    ("name", "sudoer"),
    [
        ("katie", "katie"),
        ("john.doe", "john.doe"),
        ("a; reboot", "#1000"),
        ("CORP\\ada", "#1000"),
        (None, "#1000"),
    ],
)
def test_the_line_is_safe_to_paste(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str | None, sudoer: str
) -> None:
    cache = tmp_path / "Bert's ü"
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setenv("USER", "a'; reboot; '")
    (cache / "muster").mkdir(parents=True)
    owner = os.geteuid()
    monkeypatch.setattr("provision.core.files.os.geteuid", lambda: owner)

    def entry(uid: int) -> pwd.struct_passwd:
        if name is None:
            raise KeyError(uid)
        return pwd.struct_passwd((name, "x", uid, uid, "", "/", "/bin/sh"))

    monkeypatch.setattr(permission, "_uid", lambda: 1000)
    monkeypatch.setattr(permission.pwd, "getpwuid", entry)
    words = shlex.split(permission.command())
    assert words == [
        *("sudo", "install", "-D", "-o", "root", "-m", "0755", str(cache / "muster" / "muster-local")),
        *(str(permission.INSTALLED), "&&", "echo", f"{sudoer} ALL=(root) NOPASSWD: {permission.INSTALLED}"),
        *("|", "sudo", "install", "-m", "0440", "/dev/stdin", "/etc/sudoers.d/muster-1000"),
    ]
    assert (cache / "muster" / "muster-local").read_bytes() == permission.archive()


def test_it_needs_nothing_that_is_installed_later(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-EsS", "-m", "provision.providers.local.permission"],
        cwd=PROJECT, env={"XDG_CACHE_HOME": str(tmp_path)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "" or done.stdout.endswith(
        "# whoever may run the helper is in practice root on this computer"
    )
