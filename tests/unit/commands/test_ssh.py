"""put and get by the real rsync and ssh, to a server in this process; what is run there for HDFS."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from provision import cli
from provision.commands import ssh
from provision.core.model import ClusterIdentity
from provision.ssh import sharing
from provision.ssh.files import ssh_config
from provision.state.folder import Snapshot, State
from tests.fakes.provider import machine
from tests.fakes.sshd import Sshd, listening, make_key

NAMES = ["a:b.txt", "g[1].txt", "naïve ☃.txt", "what?*.txt", "-dash's.txt", "back\\slash.txt"]
Muster = Callable[..., tuple[int, str]]

pytestmark = pytest.mark.skipif(shutil.which("rsync") is None, reason="no rsync here")


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The home of the master's user; a cluster whose master is reached there."""
    remote = tmp_path / "remote"
    remote.mkdir()
    sshd = Sshd(remote)
    programs = tmp_path / "bin"
    programs.mkdir()
    with listening(sshd) as port:
        (programs / "ssh").write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -p {port} "$@"\n')
        (programs / "ssh").chmod(0o755)
        monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setenv("MUSTER_STATE", str(tmp_path / "Bert's 100% ü"))
        state = State(tmp_path / "Bert's 100% ü" / "pond")
        state.begin(ClusterIdentity("pond", "0123abcd"))
        make_key(state.key_file)
        master = replace(machine("pond-master"), address="10.0.0.1", ssh_address="127.0.0.1")
        state.journal.pin(master.provider_id, sshd.host_key)
        state.save(Snapshot((master,)))
        ssh_config(state)
        yield remote
        sharing.close(state.folder)


@pytest.fixture
def muster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Muster:
    config = tmp_path / "pond.yml"
    config.write_text("plugin: cluster\ncluster: pond\nnodes: 1\n")
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)

    def call(*words: str) -> tuple[int, str]:
        capfd.readouterr()
        return cli.main(["-i", str(config), *words]), capfd.readouterr().err

    return call


@pytest.mark.parametrize("name", NAMES)
def test_a_name_means_the_one_file_of_that_name(muster: Muster, there: Path, name: str) -> None:
    Path(name).write_text(name)
    (there / "g1.txt").write_text("another")
    assert muster("put", f"./{name}" if name.startswith("-") else name, "master:")[0] == 0
    assert (there / name).read_text() == name
    Path(name).unlink()
    status, said = muster("get", f"master:{name}", ".")
    assert status == 0, said
    assert {path.name: path.read_text() for path in Path().iterdir()} == {name: name}


def test_folders_keep_their_slash(muster: Muster, there: Path) -> None:
    Path("set").mkdir()
    Path("set/a").touch()
    assert muster("put", "set/", "master:flat")[0] == 0
    assert muster("put", "set", "master:deep")[0] == 0
    assert (there / "flat" / "a").exists() and (there / "deep" / "set" / "a").exists()


def test_a_target_that_rsync_would_take_for_a_pattern_is_refused(muster: Muster, there: Path) -> None:
    Path("a").touch()
    status, said = muster("put", "a", "master:g[1].txt")
    assert status == 1
    assert "master:g[1].txt: rsync takes * ? [ in the name of a target for a pattern" in said
    assert said.count("\n") == 1


def test_what_comes_belongs_to_who_gets_it_and_runs_as_nobody_else(muster: Muster, there: Path) -> None:
    node = there / "set"
    (node / "folder").mkdir(parents=True)
    (node / "folder").chmod(0o2775)
    (node / "tool").write_text("#!/bin/sh\n")
    (node / "tool").chmod(0o6755)
    os.mkfifo(node / "pipe")
    if os.geteuid() == 0:
        os.chown(node / "tool", 1803, 1803)
        (node / "tool").chmod(0o6755)
        os.mknod(node / "null", 0o666 | 0o020000, os.makedev(1, 3))
    assert muster("get", "master:set/", "here")[0] == 0
    here = Path("here")
    assert {path.name for path in here.iterdir()} == {"tool", "folder"}
    assert (here / "tool").stat().st_mode & 0o7777 == 0o755
    assert (here / "folder").stat().st_mode & 0o7000 == 0
    assert (here / "tool").stat().st_uid == os.geteuid()
    assert (here / "tool").stat().st_gid == os.getegid()


def linked(there: Path) -> None:
    (there.parent / "outside").write_text("outside")
    (there / "set").mkdir()
    (there / "set" / "data").write_text("rows")
    for name, to in (("inside", "data"), ("absolute", "/etc/passwd"), ("up", "../../outside")):
        (there / "set" / name).symlink_to(to)


def test_a_link_out_of_it_is_what_it_leads_to_there(muster: Muster, there: Path) -> None:
    linked(there)
    assert muster("get", "master:set/", "here")[0] == 0
    here = Path("here")
    assert {path.name for path in here.iterdir() if path.is_symlink()} == {"inside"}
    assert (here / "up").read_text() == "outside"
    assert (here / "absolute").read_text() == Path("/etc/passwd").read_text()


def test_a_node_that_sends_such_a_link_all_the_same(
    muster: Muster, there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = "--copy-unsafe-links"
    monkeypatch.setattr(ssh, "FROM_NODES", tuple(each for each in ssh.FROM_NODES if each != honest))
    linked(there)
    assert muster("get", "master:set/", "here")[0] == 0
    assert {path.name for path in Path("here").iterdir()} == {"data", "inside"}


@pytest.mark.parametrize("name", NAMES)
def test_names_in_hdfs_are_no_patterns(
    muster: Muster, there: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """`hdfs dfs -put` reads the local path as a URI, and its target, as -get its source, as a pattern."""
    hdfs = there / "hdfs"
    hdfs.mkdir()
    program = there.parent / "bin" / "hdfs"
    program.write_text(
        "#!/usr/bin/env python3\n"
        "import pathlib, re, shutil, sys, urllib.parse\n"
        "verb, *words = sys.argv[2:]\n"
        "plain = lambda text: re.sub(r'\\\\(.)', r'\\1', text)\n"
        "assert not re.search(r'(?<!\\\\)[*?{}\\[\\]]', words[0] if verb == '-get' else words[2])\n"
        "if verb == '-get': shutil.copy(plain(words[0]).lstrip('/'), words[1])\n"
        "else: shutil.copy(urllib.parse.unquote(words[1]), plain(words[2]).lstrip('/'))\n"
    )
    program.chmod(0o755)
    monkeypatch.setattr("provision.commands.ssh.SCRATCH", str(there))
    monkeypatch.setattr("provision.core.progress.QUIET_S", 60.0)  # a busy computer is no matter of this test
    Path(name).write_text(name)
    source = f"./{name}" if name.startswith("-") else name
    assert muster("put", source, f"hdfs:/hdfs/{name}") == (0, "")
    assert (hdfs / name).read_text() == name
    Path(name).unlink()
    assert muster("get", f"hdfs:/hdfs/{name}") == (0, "")
    assert Path(name).read_text() == name
    assert not list(there.glob("passing-*"))


def test_the_admin_is_another_user(
    there: Path, tmp_path: Path, muster: Muster, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[list[str]] = []

    class Replaced(Exception):
        pass

    def execute(_: str, words: list[str]) -> None:
        ran.append(words)
        raise Replaced

    monkeypatch.setattr("provision.commands.ssh.os.execvp", execute)
    muster("ssh", "--admin", "--", "sudo", "journalctl", "-b")
    muster("ssh", "--admin", "master", "--", "sudo", "journalctl", "-b")
    muster("ssh", "--admin")
    muster("ssh", "master", "--", "id", "-u")
    for words in ran[:2]:
        assert words[words.index("-l") + 1] == "muster"
        assert words[-4:] == ["pond-master", "sudo", "journalctl", "-b"]
    assert ran[2][-1] == "pond-master" and "-t" in ran[2] and "-l" in ran[2]
    assert ran[3][-3:] == ["pond-master", "id", "-u"] and "-l" not in ran[3]
