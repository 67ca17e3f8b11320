"""From where machines let SSH in: the rule as nftables takes it, at the first boot, by the role, and changed later."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from jinja2 import Environment

from provision.cluster import firstboot
from provision.core.networks import PRIVATE
from provision.core.paths import PROJECT
from provision.ssh import firewall
from provision.ssh.keys import new_bootstrap_key

NETWORKS = ["203.0.113.7/32", "10.0.0.0/8"]
RULE = "ip saddr { 10.0.0.0/8, 203.0.113.7/32 } tcp dport 22 accept"


def test_the_rule() -> None:
    assert firewall.rule(()) == "tcp dport 22 accept"
    assert firewall.rule(NETWORKS) == RULE
    assert firewall.networks_of(firewall.rule(["203.0.113.7/32", *PRIVATE])) == ("203.0.113.7/32",)
    assert firewall.networks_of(firewall.rule(())) == firewall.networks_of("") == ()


def first_boot(networks: list[str], *, shared: bool) -> str:
    """The script that makes the firewall at the first boot."""
    text = firstboot.user_data(
        login_key="ssh-ed25519 A", bootstrap=new_bootstrap_key(), shared=shared, ssh_from=networks
    )
    return next(command[-1] for command in yaml.safe_load(text)["bootcmd"] if "muster-firewall" in command)


@pytest.mark.parametrize("shared", [False, True])
def test_the_first_boot_lets_ssh_in_from_there_alone(shared: bool) -> None:
    script = first_boot(NETWORKS, shared=shared)
    assert f"echo '{RULE}' > /etc/muster/allow.nft" in script
    assert script.count("dport 22") == 1 and 'include "/etc/muster/allow.nft"' in script


def role(**more: object) -> str:
    """The firewall as the role writes it."""
    known = {
        "base_nodes": [{"address": "10.1.0.1"}, {"address": "10.1.0.2"}],
        "base_address": "10.1.0.1",
        "base_allow": [],
        "base_shared": False,
    }
    text = (PROJECT / "roles/base/templates/firewall.nft.j2").read_text()
    return Environment(trim_blocks=True, lstrip_blocks=True).from_string(text).render(known | more)  # noqa: S701


def test_nodes_are_let_in_where_they_come_to_the_private_address() -> None:
    assert "ip saddr @nodes ip daddr 10.1.0.1 accept" in role()
    assert "ip saddr @nodes accept" in role(base_address="")
    assert "dport 22" not in role()


@pytest.mark.skipif(not shutil.which("nft"), reason="nftables is not installed")
@pytest.mark.parametrize("networks", [[], NETWORKS, ["0.0.0.0/0"], ["203.0.113.0/24", "203.0.113.7/32"]])
def test_nftables_takes_it(tmp_path: Path, networks: list[str]) -> None:
    """In a network of its own, where rules are nobody's."""
    (tmp_path / "allow.nft").write_text(f"{firewall.rule(networks)}\n")
    script = first_boot(networks, shared=False).partition("<<'RULES'\n")[2].partition("RULES\n")[0]
    for text in (script, role()):
        (tmp_path / "firewall.nft").write_text(text.replace("/etc/muster/", f"{tmp_path}/"))
        done = subprocess.run(
            ["unshare", "--map-root-user", "--net", "nft", "-f", tmp_path / "firewall.nft"],
            capture_output=True,
            text=True,
            check=False,
        )
        if "Operation not permitted" in done.stderr:
            pytest.skip("no network of its own can be made here")
        assert done.returncode == 0, done.stderr


def test_a_change_is_kept_and_put_in_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nft").write_text(
        f'#!/bin/sh\ncat {tmp_path}/allow.nft > {tmp_path}/loaded; echo "$@" >> {tmp_path}/loaded\n'
    )
    (tmp_path / "nft").chmod(0o755)
    command = firewall.command(NETWORKS).replace("/etc/muster/", f"{tmp_path}/")
    for _ in range(2):
        subprocess.run(["sh", "-c", command], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, check=True)
        assert (tmp_path / "loaded").read_text() == f"{RULE}\n-f {tmp_path}/firewall.nft\n"
    assert (tmp_path / "allow.nft").stat().st_mode & 0o777 == 0o600
