from __future__ import annotations

import json
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from provision.cluster import firstboot
from provision.core.paths import PROJECT
from provision.ssh import access
from provision.ssh.keys import ensure_login_key, new_bootstrap_key

BOOTSTRAP = new_bootstrap_key()


def document(deadline: float = 0) -> dict:
    text = firstboot.user_data(login_key="ssh-ed25519 AAAA me", bootstrap=BOOTSTRAP, deadline=deadline)
    assert text.startswith("#cloud-config\n")
    return yaml.safe_load(text)


def files(data: dict) -> dict[str, str]:
    return {entry["path"]: entry["content"] for entry in data["write_files"]}


def command(mark: str, **given: Any) -> str:
    """The script of bootcmd that holds a word, or is called so."""
    text = firstboot.user_data(login_key="ssh-ed25519 AAAA me", bootstrap=BOOTSTRAP, **given)
    return next(each[-1] for each in yaml.safe_load(text)["bootcmd"] if mark in each or mark in each[-1])


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def act(root: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script of the first boot on a machine that has /bin and the programs in `root`/bin."""
    script = re.sub(rf"(?<!{root})/(etc|run)/", rf"{root}/\1/", script)
    for name in ("etc", "run"):
        (root / name).mkdir(exist_ok=True)
    for name in ("cat", "rm", "mv", "mkdir", "touch", "sed", "ssh-keygen"):
        if not (root / "bin" / name).exists():
            put(root / "bin" / name, f'#!/bin/sh\nexec {shutil.which(name)} "$@"\n')
    return subprocess.run(
        ["/bin/sh", "-c", script], env={"PATH": f"{root}/bin"}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("networks", "ours"),
    [
        ((), ("", "")),
        (("203.0.113.0/24", "198.51.100.7/32"), ("-s 198.51.100.7/32,203.0.113.0/24", "-s ::1")),
    ],
)
def test_a_machine_without_nft_is_shut_at_once_and_opened_again(
    tmp_path: Path, networks: tuple[str, ...], ours: tuple[str, str]
) -> None:
    for name in ("iptables", "ip6tables"):
        put(tmp_path / f"bin/{name}-restore", f"#!/bin/sh\ncat > {tmp_path}/{name}.rules\n")
        put(tmp_path / f"bin/{name}", f'#!/bin/sh\necho {name} "$@" >> {tmp_path}/taken\n')
    script = command("muster-shut", ssh_from=networks)
    assert document()["bootcmd"][0] == ["sh", "-c", command("muster-shut")], (
        "before anything else, at every boot"
    )
    assert act(tmp_path, script).returncode == 0
    for name, source in zip(("iptables", "ip6tables"), ours, strict=True):
        rules = (tmp_path / f"{name}.rules").read_text().splitlines()
        assert [rule.split() for rule in rules[-4:]] == [
            f"-A muster -p tcp --dport 22 {source} -j ACCEPT".split(),
            ["-A", "muster", "-j", "DROP"],
            ["-I", "INPUT", "-j", "muster"],
            ["COMMIT"],
        ]
    (tmp_path / "iptables.rules").unlink()
    assert act(tmp_path, script).returncode == 0
    assert not (tmp_path / "iptables.rules").exists(), "one jump to our rules, not two"
    assert act(tmp_path, (tmp_path / "run/muster-shut").read_text()).returncode == 0
    assert (tmp_path / "taken").read_text().splitlines() == [
        f"{name} {words} muster"
        for name in ("iptables", "ip6tables")
        for words in ("-D INPUT -j", "-F", "-X")
    ]
    assert not (tmp_path / "run/muster-shut").exists()


@pytest.mark.parametrize("broken", ["iptables", "ip6tables"])
def test_a_first_boot_without_any_firewall_fails(tmp_path: Path, broken: str) -> None:
    put(tmp_path / "bin/systemctl", "#!/bin/sh\n")
    for name in ("iptables", "ip6tables"):
        put(tmp_path / f"bin/{name}-restore", f"#!/bin/sh\nexit {int(name == broken)}\n")
    act(tmp_path, command("muster-shut"))
    assert document()["bootcmd"][-1][2] == "muster-firewall", (
        "cloud-init looks at the status of the last alone"
    )
    done = act(tmp_path, command("muster-firewall"))
    assert done.returncode
    assert "neither nft nor iptables" in done.stderr
    put(tmp_path / "bin/nft", "#!/bin/sh\n")
    assert act(tmp_path, command("muster-firewall")).returncode == 0


def test_a_restart_of_the_firewall_opens_nothing() -> None:
    unit = command("muster-firewall").partition("<<'UNIT'\n")[2].partition("UNIT\n")[0]
    assert "ExecStart=/usr/sbin/nft -f /etc/muster/firewall.nft\n" in unit
    assert "ExecStop" not in unit


SSHD = """#!/bin/sh
# An sshd that does not know what it does not know.
for option in "$@"; do case "$option" in UNKNOWN*) exit 255 ;; esac; done
! grep -qsr 'UNKNOWN' ROOT/etc/ssh/sshd_config.d
"""


@pytest.mark.parametrize("unknown", ["PerSourcePenalties", "UseDNS", "NoSuch"])
def test_of_what_tunes_sshd_only_what_it_knows_stays(tmp_path: Path, unknown: str) -> None:
    """PerSourcePenalties came with OpenSSH 9.8: one before it would not start at all."""
    put(tmp_path / "bin/sshd", SSHD.replace("UNKNOWN", unknown).replace("ROOT", str(tmp_path)))
    put(tmp_path / "bin/grep", f'#!/bin/sh\nexec {shutil.which("grep")} "$@"\n')
    rules = tmp_path / "etc/ssh/sshd_config.d/12-muster-tuning.conf"
    put(rules, "")
    assert act(tmp_path, command("muster-sshd")).returncode == 0
    known = [line.partition(" ")[0] for line in rules.read_text().splitlines()]
    every = [
        "UseDNS",
        "MaxStartups",
        "PerSourceMaxStartups",
        "MaxSessions",
        "LoginGraceTime",
        "PerSourcePenalties",
    ]
    assert known == [option for option in every if option != unknown]


def test_the_scripts_of_the_first_boot_are_sound_shell() -> None:
    for each in document(1_800_000_000.0)["bootcmd"]:
        shellcheck = [Path(sys.executable).with_name("shellcheck"), "--shell=sh", "-"]
        subprocess.run(shellcheck, input=each[-1], text=True, check=True)


GIVEN = {"login_key": "ssh-ed25519 AAAA me", "bootstrap": BOOTSTRAP}
EVERY_KIND = {
    "plain": firstboot.user_data(**GIVEN),
    "with a deadline": firstboot.user_data(**GIVEN, deadline=1_800_000_000.0),
    "limited": firstboot.user_data(**GIVEN, ssh_from=("203.0.113.0/24", "198.51.100.7/32")),
    "limited, with a deadline": firstboot.user_data(**GIVEN, deadline=2e9, ssh_from=("203.0.113.0/24",)),
    "on a host of the user's own": firstboot.user_data(**GIVEN, shared=True),
    "limited on a host of the user's own": firstboot.user_data(
        **GIVEN, shared=True, ssh_from=("203.0.113.0/24",)
    ),
    "of an object store": firstboot.store_user_data(),
}


@pytest.mark.parametrize("kind", list(EVERY_KIND))
def test_cloud_init_knows_all_that_it_is_told(kind: str) -> None:
    """As `cloud-init schema` looks at it; schema/README.md says where the schema is from."""
    schema = json.loads((Path(__file__).parent / "schema/schema-cloud-config-v1.json").read_text())
    found = jsonschema.Draft4Validator(schema).iter_errors(yaml.safe_load(EVERY_KIND[kind]))
    assert [error.message for error in found] == []


def test_only_keys_and_no_root() -> None:
    data = document()
    assert data["ssh_pwauth"] is False
    assert data["disable_root"] is True
    sshd = files(data)["/etc/ssh/sshd_config.d/10-muster.conf"]
    assert "PasswordAuthentication no\n" in sshd
    assert "PermitRootLogin no\n" in sshd
    (user,) = data["users"]
    assert (user["name"], user["uid"], user["lock_passwd"]) == ("muster", 1800, True)


def test_keys_are_roots_and_none_lies_in_a_home() -> None:
    """Cloud-init would write them to ~/.ssh, which belongs to whoever works there."""
    data = document()
    assert "ssh_authorized_keys" not in data and "ssh_authorized_keys" not in data["users"][0]
    assert files(data)[f"{access.KEYS}/muster"] == "ssh-ed25519 AAAA me\n"
    assert files(data)[access.SSHD] == access.sshd_rules(shared=False)
    assert not [entry for entry in data["write_files"] if "owner" in entry]
    (identity, *_) = [command[-1] for command in data["bootcmd"] if "muster-identity" in command]
    assert f"rm -rf /home/*/.ssh/authorized_keys* {access.KEYS}\n" in identity, "an image lets nobody in"


def test_dpkg_unpacks_what_is_read_and_does_not_wait_for_the_disk(tmp_path: Path) -> None:
    """Its own file, whose every line dpkg knows; machines of others keep theirs."""
    data = document()
    lines = files(data)["/etc/dpkg/dpkg.cfg.d/10-muster"].splitlines()
    assert "force-unsafe-io" in lines and "path-exclude=/usr/share/man/*" in lines
    (tmp_path / "status").touch()
    options = [f"--{line}" for line in lines]
    done = subprocess.run(["dpkg", *options, f"--admindir={tmp_path}", "--audit"], check=False)
    assert done.returncode == 0
    kind, versions, folder, pattern = files(data)["/usr/share/python3/bcep/muster"].strip().split("|")
    assert (kind, versions) == ("re", "3.0-")
    assert re.match(pattern, f"{folder}/pandas/tests/test_x.py")
    assert not re.match(pattern, f"{folder}/torch/testing/__init__.py")
    (identity, *_) = [command[-1] for command in data["bootcmd"] if "muster-identity" in command]
    assert "rm -f /var/lib/man-db/auto-update\n" in identity
    shared = firstboot.user_data(login_key="ssh-ed25519 AAAA me", bootstrap=BOOTSTRAP, shared=True)
    assert "dpkg" not in shared and "man-db" not in shared


def test_bootstrap_key_arrives_whole() -> None:
    keys = document()["ssh_keys"]
    assert keys["ecdsa_private"].strip() == BOOTSTRAP.private.strip()
    assert keys["ecdsa_public"] == BOOTSTRAP.public


def test_firewall_and_own_key_come_before_sshd() -> None:
    script = "\n".join(command[-1] for command in document()["bootcmd"])
    assert "policy drop;" in script
    assert "tcp dport 22 accept" in script
    assert "ssh-keygen -q -t ed25519" in script


def test_no_address_takes_all_connections_that_there_are() -> None:
    tuning = command("muster-sshd").partition("<<'OPTIONS'\n")[2].partition("OPTIONS\n")[0]
    known = dict(line.split(maxsplit=1) for line in tuning.splitlines())
    assert int(known["PerSourceMaxStartups"]) < int(known["MaxStartups"].partition(":")[0])
    assert int(known["LoginGraceTime"]) <= 30


def test_sessions_have_a_locale_in_which_every_name_of_a_file_can_be_written() -> None:
    assert files(document())["/etc/default/locale"] == "LANG=C.UTF-8\n"


def test_a_deadline_is_armed_at_the_first_boot_and_can_be_armed_later() -> None:
    assert "runcmd" not in document()
    data = document(1_800_000_000.0)
    assert data["runcmd"] == [["/usr/local/sbin/muster-arm", "1800000000"]]
    assert set(files(document())) == set(files(data))


@pytest.mark.parametrize("name", ["muster-arm", "muster-end"])
def test_the_node_programs_are_sound_shell(name: str) -> None:
    program = files(document(1_800_000_000.0))[f"/usr/local/sbin/{name}"]
    subprocess.run([Path(sys.executable).with_name("shellcheck"), "-"], input=program, text=True, check=True)


def test_store_keeps_its_host_key_and_takes_logins_from_its_disk() -> None:
    data = yaml.safe_load(firstboot.store_user_data())
    assert "ssh_keys" not in data
    assert "rm -f /etc/ssh/ssh_host" not in str(data["bootcmd"])
    assert files(data)[access.SSHD] == access.sshd_rules(shared=False)
    assert not [path for path in files(data) if path.startswith(access.KEYS)]
    assert access.KEYS not in str(data["bootcmd"]), "its logins are on its disk before it boots"


def test_login_key_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "id_ed25519"
    public = ensure_login_key(path, "muster-retina")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.with_suffix(".pub").unlink()  # killed between the two files
    assert ensure_login_key(path, "muster-retina") == public
    assert path.with_suffix(".pub").read_text() == public + "\n"


def test_on_a_host_of_the_users_own_only_what_a_cluster_needs() -> None:
    """Its host keys, its other users, how they log in and its power are none of our business."""
    text = firstboot.user_data(
        login_key="ssh-ed25519 AAAA me", bootstrap=BOOTSTRAP, deadline=2e9, shared=True
    )
    data = yaml.safe_load(text)
    assert set(data) == {"users", "bootcmd", "write_files", "runcmd"}
    assert files(data) == {
        access.SSHD: access.sshd_rules(shared=True),
        f"{access.KEYS}/muster": "ssh-ed25519 AAAA me\n",
        f"{access.KEYS}/hadoop": "ssh-ed25519 AAAA me\n",
    }
    assert data["runcmd"][1:] == [["systemctl", "try-reload-or-restart", "ssh.service"]]
    script = "\n".join(command[-1] for command in data["bootcmd"])
    assert "muster-firewall.service" in script
    assert not [word for word in ("ssh", "pam", "poweroff", "rm -f", "flush") if word in script]


def test_a_host_of_the_users_own_whose_sshd_does_not_take_our_rules_keeps_its_own(tmp_path: Path) -> None:
    text = firstboot.user_data(login_key="ssh-ed25519 AAAA me", bootstrap=BOOTSTRAP, shared=True)
    script = yaml.safe_load(text)["runcmd"][0][-1]
    rules = tmp_path / access.SSHD.removeprefix("/")
    put(rules, access.sshd_rules(shared=True))
    put(tmp_path / "bin/grep", f'#!/bin/sh\nexec {shutil.which("grep")} "$@"\n')
    for unknown, left in (("NoSuch", True), ("AuthorizedKeysFile", False)):
        put(tmp_path / "bin/sshd", SSHD.replace("UNKNOWN", unknown).replace("ROOT", str(tmp_path)))
        done = act(tmp_path, script)
        assert (done.returncode == 0, rules.exists()) == (left, left), done.stderr


def test_no_rule_of_others_is_flushed() -> None:
    script = "\n".join(command[-1] for command in document()["bootcmd"]).replace("--noflush", "")
    role = (PROJECT / "roles/base/templates/firewall.nft.j2").read_text()
    for text in (script, role):
        assert "flush" not in text
        assert "delete table inet muster" in text


def test_first_boot_writes_the_files_of_keys_that_the_role_writes() -> None:
    """So a new cluster changes none of them, reloads no SSH server and looks for no sessions to end."""
    data = yaml.safe_load(firstboot.user_data(login_key="ssh-ed25519 AAAA me", bootstrap=BOOTSTRAP))
    role = yaml.safe_load((PROJECT / "roles/base/tasks/configure.yml").read_text())
    written = next(task for task in role if task["name"] == "Write who may log in")["muster_files"]["files"]
    assert {file["dest"] for file in written} <= set(files(data))
