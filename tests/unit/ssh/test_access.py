"""Who may log in: the lines on the machines, and the config file that keeps its comments."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from muster_node import sessions
from provision import cli
from provision.config import edit
from provision.core.errors import ConfigError
from provision.core.model import ClusterIdentity
from provision.core.paths import PROJECT
from provision.ssh import access
from provision.state.folder import State

HEAD = "---\n# a cluster\nplugin: cluster\ncluster: pond   # short\nnodes: 3\n"
KATIE, BOB, OWN = (f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{letter * 43}" for letter in "KBO")


def said(path: Path) -> dict[str, str]:
    return yaml.safe_load(path.read_text()).get("access") or {}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "access:\n  katie: {K}\n"),
        ("access:\n", "access:\n  katie: {K}\n"),
        ("access:   # who\ngroups: {{}}\n", "access:   # who\n  katie: {K}\ngroups: {{}}\n"),
        ("access: {{}}   # who\n", 'access: {{katie: "{K}"}}   # who\n'),
        ("access: {{bob: {B}}}\nnodes_: 1\n", None),
        ("access: {{bob: {B}}}\n", 'access: {{bob: {B}, katie: "{K}"}}\n'),
        (
            "access:\n    bob: {B} b@x   # the builder\n# end\nttl: 8h\n",
            "access:\n    bob: {B} b@x   # the builder\n    katie: {K}\n# end\nttl: 8h\n",
        ),
        ("access:\n  katie: {B}   # old\n  bob: {B}\n", "access:\n  katie: {K}   # old\n  bob: {B}\n"),
        ("access:\n  bob: {B}", "access:\n  bob: {B}\n  katie: {K}"),
    ],
)
def test_adding_changes_nothing_else(tmp_path: Path, before: str, after: str | None) -> None:
    path = tmp_path / "pond.yml"
    path.write_text(HEAD + before.format(K=KATIE, B=BOB))
    if after is None:  # a file that is not valid is left alone
        with pytest.raises(ConfigError, match="nodes_: unknown key"):
            edit.add_person(path, "katie", KATIE)
        return
    path.chmod(0o640)
    edit.add_person(path, "katie", KATIE)
    assert path.read_text() == HEAD + after.format(K=KATIE, B=BOB)
    assert said(path)["katie"] == KATIE
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("access:\n  katie: {K}\nttl: 8h\n", "ttl: 8h\n"),
        (
            "access:\n  bob: {B}\n  # friend\n  katie: {K}   # k\nttl: 8h\n",
            "access:\n  bob: {B}\n  # friend\nttl: 8h\n",
        ),
        ("access: {{katie: {K}, bob: {B}}}   # who\n", "access: {{bob: {B}}}   # who\n"),
        ("access:\n  katie: >-\n    {K}\n  bob: {B}\n", "access:\n  bob: {B}\n"),
        ("access: {{katie: {K}}}\n", "access: {{}}\n"),
        ("", ""),
    ],
)
def test_removing_changes_nothing_else(tmp_path: Path, before: str, after: str) -> None:
    path = tmp_path / "pond.yml"
    path.write_text(HEAD + before.format(K=KATIE, B=BOB))
    edit.remove_person(path, "katie")
    assert path.read_text() == HEAD + after.format(K=KATIE, B=BOB)


@pytest.mark.parametrize(
    ("name", "key", "why"),
    [
        ("root", KATIE, "'root' cannot be a user's name"),
        ("katie", "hello", "no SSH public key for katie"),
        ("katie", "-----BEGIN OPENSSH PRIVATE KEY-----", "that is the private key"),
    ],
)
def test_what_is_no_person_or_key_is_refused(tmp_path: Path, name: str, key: str, why: str) -> None:
    path = tmp_path / "pond.yml"
    path.write_text(HEAD)
    with pytest.raises(ConfigError, match=why):
        edit.add_person(path, name, key)
    assert path.read_text() == HEAD


def test_a_comment_that_yaml_would_misread_is_quoted(tmp_path: Path) -> None:
    path = tmp_path / "pond.yml"
    path.write_text(HEAD)
    edit.add_person(path, "katie", f"{KATIE} home: #1")
    assert said(path) == {"katie": f"{KATIE} home: #1"}


def test_a_file_in_one_line_is_left_to_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "pond.yml"
    path.write_text("{plugin: cluster, cluster: pond}\n")
    with pytest.raises(ConfigError, match="cannot be edited by a program.*Change `access` there yourself"):
        edit.add_person(path, "katie", KATIE)


def test_a_key_is_given_as_text_or_file(tmp_path: Path) -> None:
    path = tmp_path / "katie.pub"
    path.write_text(f"{KATIE} katie@home\n")
    assert access.read_key(str(path)) == f"{KATIE} katie@home"
    assert access.read_key(f" {KATIE} ") == KATIE
    path.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    with pytest.raises(ConfigError, match="this is a private key"):
        access.read_key(str(path))


def test_checkouts_come_first_and_nobody_twice(tmp_path: Path) -> None:
    state = State(tmp_path / "pond")
    state.make_folder()
    assert access.login_keys(state, {}) == []
    (state.folder / "id_ed25519.pub").write_text(f"{OWN} muster-pond\n")
    assert access.login_keys(state, {"katie": f"{KATIE} k@home"}) == [
        f"{OWN} muster-pond",
        f"{KATIE} access:katie",
    ]
    state.control_keys.write_text(f"{BOB} muster-pond\n{OWN} muster-pond\n")
    assert access.login_keys(state, {"me": OWN}) == [f"{BOB} muster-pond", f"{OWN} access:me"]


def test_the_fingerprint_is_ssh_keygens(tmp_path: Path) -> None:
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    shown = subprocess.run(["ssh-keygen", "-lf", path], capture_output=True, text=True, check=True).stdout
    assert access.fingerprint(path.with_suffix(".pub").read_text()) in shown


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The config file of a cluster that was started, with Katie and Bob in it."""
    monkeypatch.setenv("MUSTER_STATE", str(tmp_path / "state"))
    state = State(tmp_path / "state" / "pond")
    state.begin(ClusterIdentity("pond", "0123abcd"))
    (state.folder / "id_ed25519.pub").write_text(f"{OWN} muster-pond\n")
    path = tmp_path / "pond.yml"
    path.write_text(f"{HEAD}access:\n  katie: {KATIE}\n  bob: {BOB}\n")
    return path


def test_a_killed_removal_is_still_possible(started: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []

    def killed(state: State, people: dict[str, str]) -> dict[str, str]:
        seen.append(sorted(people))
        raise KeyboardInterrupt

    monkeypatch.setattr(access, "apply", killed)
    assert cli.main(["-i", str(started), "access", "remove", "katie"]) == 130
    assert said(started) == {"katie": KATIE, "bob": BOB}
    monkeypatch.setattr(access, "apply", lambda *_: {})
    assert cli.main(["-i", str(started), "access", "remove", "katie"]) == 0
    assert said(started) == {"bob": BOB}
    assert seen == [["bob"]]


def test_a_machine_that_does_not_answer_is_named(
    started: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(access, "apply", lambda *_: {"pond-worker-1": "no answer"})
    assert cli.main(["-i", str(started), "access", "remove", "katie"]) == 1
    assert (
        "pond-worker-1: the keys could not be changed (pond-worker-1: no answer)" in capsys.readouterr().err
    )
    assert said(started) == {"bob": BOB}, "what runs next keeps her out"


def test_a_checkout_does_not_lock_itself_out(started: Path, capsys: pytest.CaptureFixture[str]) -> None:
    started.write_text(f"{HEAD}access: {{me: {OWN}}}\n")
    assert cli.main(["-i", str(started), "access", "remove", "me"]) == 1
    assert "me: this checkout itself logs in with that key" in capsys.readouterr().err
    assert said(started) == {"me": OWN}


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine as the script finds it: its folders lie elsewhere, and who runs it may do all."""
    keys, rules, program = tmp_path / "keys", tmp_path / "sshd.conf", tmp_path / "muster-sessions"
    monkeypatch.setattr(access, "KEYS", str(keys))
    monkeypatch.setattr(access, "SSHD", str(rules))
    monkeypatch.setattr(access, "_END_SESSIONS", str(program))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "sudo").write_text('#!/bin/sh\nexec "$@"\n')
    (tmp_path / "bin" / "sudo").chmod(0o755)
    program.write_text(f"#!/bin/sh\ncat {keys}/* > {tmp_path}/ended\n")
    program.chmod(0o755)
    keys.mkdir()
    rules.touch()
    return tmp_path


def run(script: str, machine: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", script], env={"PATH": f"{machine}/bin:/usr/bin:/bin"}, capture_output=True, text=True, check=False
    )  # fmt: skip


def test_the_script_for_the_machines(machine: Path) -> None:
    """Whole files that only root writes, and then whoever came with another key is out."""
    for user in access.USERS:
        (machine / "keys" / user).write_text(f"{KATIE} access:katie\n{BOB} access:bob\n")
    done = run(access.script([f"{BOB} access:bob"]), machine)
    assert (done.returncode, done.stderr) == (0, "")
    for user in ("muster", "hadoop"):
        assert (machine / "keys" / user).read_text() == f"{BOB} access:bob\n"
        assert (machine / "keys" / user).stat().st_mode & 0o777 == 0o644, "sshd reads it as the account"
    assert (machine / "ended").read_text() == f"{BOB} access:bob\n" * 2, "after the keys are gone"
    assert sorted(path.name for path in (machine / "keys").iterdir()) == ["hadoop", "muster"]
    (machine / "muster-sessions").unlink()  # start_cluster.yml was killed before it came
    assert run(access.script([]), machine).returncode == 0


def test_a_machine_that_looks_elsewhere_for_keys_is_no_success(machine: Path) -> None:
    (machine / "sshd.conf").unlink()
    done = run(access.script([f"{BOB} access:bob"]), machine)
    assert done.returncode == 1
    assert done.stderr == "an older version made it: run start_cluster.yml\n"
    assert list((machine / "keys").iterdir()) == []


def test_on_a_host_of_its_owner_only_our_accounts_are_limited() -> None:
    ours, shared = access.sshd_rules(shared=False), access.sshd_rules(shared=True)
    assert ours.splitlines()[0] == (
        "AuthorizedKeysFile /etc/muster/authorized_keys/%u /etc/muster/authorized_keys/%u.queue"
    )
    assert shared.splitlines()[0] == "Match User muster,hadoop"
    assert [line.strip() for line in shared.splitlines()[1:]] == ours.splitlines()
    assert all(line.startswith("  ") for line in shared.splitlines()[1:])


def test_machines_are_made_kept_and_changed_with_the_same_files() -> None:
    role = (PROJECT / "roles/base/tasks/configure.yml").read_text()
    for user in access.USERS:
        assert f"dest: {access.KEYS}/{user}, template: authorized_keys.j2}}" in role
    assert f"dest: {access.SSHD}, " in role
    assert "/.ssh" not in role
    assert sessions.ACCOUNTS == access.USERS and str(sessions.KEYS) == access.KEYS
