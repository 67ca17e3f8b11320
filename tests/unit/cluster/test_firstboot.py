from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from provision.cluster import firstboot
from provision.core.paths import PROJECT
from provision.ssh.keys import ensure_login_key, new_bootstrap_key

BOOTSTRAP = new_bootstrap_key()


def document(deadline: float = 0) -> dict:
    text = firstboot.user_data(login_key="ssh-ed25519 AAAA me", bootstrap=BOOTSTRAP, deadline=deadline)
    assert text.startswith("#cloud-config\n")
    return yaml.safe_load(text)


def files(data: dict) -> dict[str, str]:
    return {entry["path"]: entry["content"] for entry in data["write_files"]}


def test_only_keys_and_no_root() -> None:
    data = document()
    assert data["ssh_pwauth"] is False
    assert data["disable_root"] is True
    sshd = files(data)["/etc/ssh/sshd_config.d/10-muster.conf"]
    assert "PasswordAuthentication no\n" in sshd
    assert "PermitRootLogin no\n" in sshd
    (user,) = data["users"]
    assert (user["name"], user["uid"], user["lock_passwd"]) == ("muster", 1800, True)
    assert user["ssh_authorized_keys"] == ["ssh-ed25519 AAAA me"]


def test_bootstrap_key_arrives_whole() -> None:
    keys = document()["ssh_keys"]
    assert keys["ecdsa_private"].strip() == BOOTSTRAP.private.strip()
    assert keys["ecdsa_public"] == BOOTSTRAP.public


def test_firewall_and_own_key_come_before_sshd() -> None:
    script = "\n".join(command[-1] for command in document()["bootcmd"])
    assert "policy drop;" in script
    assert "tcp dport 22 accept" in script
    assert "ssh-keygen -q -t ed25519" in script


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
    assert "ssh_authorized_keys" not in data["users"][0]
    assert "/etc/muster/authorized_keys/%u" in files(data)["/etc/ssh/sshd_config.d/11-muster-store.conf"]


def test_login_key_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "id_ed25519"
    public = ensure_login_key(path, "muster-retina")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.with_suffix(".pub").unlink()  # killed between the two files
    assert ensure_login_key(path, "muster-retina") == public
    assert path.with_suffix(".pub").read_text() == public + "\n"


def test_on_a_host_of_the_users_own_only_what_a_cluster_needs() -> None:
    """Its SSH, its host keys, its other users and its power are none of our business."""
    text = firstboot.user_data(
        login_key="ssh-ed25519 AAAA me", bootstrap=BOOTSTRAP, deadline=2e9, shared=True
    )
    data = yaml.safe_load(text)
    assert set(data) == {"users", "bootcmd"}
    script = "\n".join(command[-1] for command in data["bootcmd"])
    assert "muster-firewall.service" in script
    assert not [word for word in ("ssh", "pam", "poweroff", "rm -f", "flush") if word in script]


def test_no_rule_of_others_is_flushed() -> None:
    script = "\n".join(command[-1] for command in document()["bootcmd"])
    role = (PROJECT / "roles/base/templates/firewall.nft.j2").read_text()
    for text in (script, role):
        assert "flush" not in text
        assert "delete table inet muster" in text
