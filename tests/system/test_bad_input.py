"""What a user may get wrong, and what a computer may lack: one clear line, a failure, nothing changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from provision.core.paths import PROJECT
from tests.system.lab import BINARIES

WRONG_SIZES = {
    "0": r"at least 1 node",
    "-1": r"at least 1 node",
    "abc": r"not a whole number.*abc",
    "2.5": r"not a whole number",
    "": r"not a whole number|at least 1 node",
}
WRONG_CONFIGS = {
    "unknown key": ({"nodez": 3}, r"nodez.*(unknown|nodes)"),
    "wrong type": ({"nodes": "three"}, r"nodes"),
    "no nodes": ({"nodes": 0}, r"nodes"),
    "unknown provider": ({"provider": "cloudy"}, r"provider.*cloudy"),
    "no host name": ({"cluster": "Not_a_host"}, r"cluster.*Not_a_host"),
    "unknown key of a group": ({"groups": {"worker": {"memory": 2}}}, r"groups\.worker\.memory"),
    "not a subnet": ({"local": {"subnet": "10.0.0.0/8"}}, r"subnet.*10\.0\.0\.0/8"),
    "a foreign subnet": ({"local": {"subnet": "8.8.8.0/24"}}, r"subnet.*no private network"),
    "no script": ({"setup": "there-is-none.sh"}, r"setup.*there-is-none\.sh"),
    "bad key": ({"access": {"katie": "abc"}}, r"access.*katie"),
}


@pytest.fixture
def untouched(small, leftovers):
    """A cluster whose commands must leave nothing behind, not even a state folder."""
    with leftovers(small, seconds=3):
        yield small


@pytest.mark.parametrize("size", WRONG_SIZES)
def test_sizes(untouched, size):
    run = untouched.playbook("start_cluster.yml", "-e", f"NUM_NODES={size}")
    run.refused(WRONG_SIZES[size])


def test_more_nodes_than_memory(untouched):
    untouched.playbook("start_cluster.yml", "-e", "NUM_NODES=1000").refused(r"\d+ more fit|fit in|fits")


@pytest.mark.parametrize("what", WRONG_CONFIGS)
def test_config_files(untouched, what):
    keys, reason = WRONG_CONFIGS[what]
    untouched.write(**keys)
    run = untouched.playbook("start_cluster.yml").refused(reason)
    said = [line for line in run.output.splitlines() if untouched.config.name in line and "$" not in line]
    assert said and len(said[0]) < 400, run.report()


def test_a_config_file_seen_by_the_command(untouched):
    keys, reason = WRONG_CONFIGS["unknown key"]
    untouched.write(**keys)
    run = untouched.muster("status").refused(reason)
    assert len(run.output.strip().splitlines()) == 2, "the command and one line"


def test_a_file_that_is_no_yaml(untouched):
    untouched.config.write_text("plugin: cluster\ncluster: [x\n")
    untouched.playbook("start_cluster.yml").refused(rf"{untouched.config.name}.*line \d")


def test_two_files_for_one_cluster(untouched):
    other = untouched.config.with_name("other.yml")
    other.write_text(untouched.config.read_text())
    untouched.playbook("start_cluster.yml").refused(r"other\.yml.*cluster named")


def test_a_mistyped_inventory(untouched):
    missing = str(untouched.folder / "retyna.yml")
    for playbook in ("start_cluster.yml", "main.yml", "destroy_cluster.yml"):
        run = untouched.run(["ansible-playbook", "-i", missing, playbook])
        assert run.status != 0, run.report()
        assert "retyna.yml" in run.output and "PLAY RECAP" not in run.output, run.report()
        assert len(run.output.strip().splitlines()) < 8, run.report()
    untouched.run([str(PROJECT / "muster"), "-i", missing, "status"]).refused(r"retyna\.yml.*no such")


@pytest.mark.parametrize("playbook", ["main.yml", "hadoop.yml", "verify.yml", "submit.yml"])
def test_playbooks_before_the_cluster(untouched, playbook):
    run = untouched.playbook(playbook, "-e", "JOB=logistic_regression")
    run.refused(r"start_cluster\.yml")


def test_destroy_without_a_cluster_is_fine(untouched):
    run = untouched.destroy().ok()
    assert run.changed == 0


@pytest.mark.parametrize("size", ["100", "abc", "0"])
def test_image_sizes(untouched, size):
    untouched.playbook("main.yml", "-e", f"IMAGE_SIZE={size}").refused(r"16,? 32,? 64,? 128")


def test_a_subnet_in_use(untouched):
    if os.geteuid():
        pytest.skip("giving this computer an address needs root")
    address = ["10.77.254.1/32", "dev", "lo"]
    untouched.write(local={"subnet": "10.77.254.0/24"})
    subprocess.run(["ip", "address", "add", *address], check=True)
    try:
        untouched.playbook("start_cluster.yml").refused(r"10\.77\.254\.0/24.*in use")
    finally:
        subprocess.run(["ip", "address", "del", *address], check=True)


def test_mounting_not_permitted(untouched):
    if os.geteuid():
        pytest.skip("dropping capabilities needs root")
    run = untouched.playbook("start_cluster.yml", before=("setpriv", "--bounding-set=-sys_admin"))
    run.refused(r"not permit|privileged")


def test_neither_root_nor_sudo(untouched, tmp_path):
    """As an ordinary user whom sudo does not know."""
    if os.geteuid():
        pytest.skip("becoming another user needs root")
    home = Path("/tmp") / f"{untouched.name}-home"
    home.mkdir()
    try:
        (home / "state").mkdir()
        config = home / untouched.config.name
        shutil.copy(untouched.config, config)
        shutil.chown(home, 65534, 65534)
        shutil.chown(home / "state", 65534, 65534)
        home.chmod(0o700)
        run = untouched.run(
            [
                "setpriv",
                "--reuid=65534",
                "--regid=65534",
                "--clear-groups",
                # It may read everything, so that the interpreter may lie where only root gets to.
                "--inh-caps=+dac_read_search",
                "--ambient-caps=+dac_read_search",
                "env",
                f"HOME={home}",
                f"MUSTER_STATE={home}/state",
                str(BINARIES / "ansible-playbook"),
                "-i",
                str(config),
                "start_cluster.yml",
            ]
        )
        run.refused(r"sudo")
        assert not [*home.glob("state/*")]
    finally:
        shutil.rmtree(home)


def private(script: str) -> tuple[str, ...]:
    """Return a command that runs another one behind private mounts, made by `script`."""
    return ("unshare", "--mount", "sh", "-ec", f'{script}; exec "$@"', "sh")


def test_a_disk_that_is_almost_full(untouched):
    if os.geteuid():
        pytest.skip("mounting needs root")
    full = private("mkdir -p /var/lib/muster; mount -t tmpfs -o size=1g tmpfs /var/lib/muster")
    untouched.playbook("start_cluster.yml", before=full).refused(r"GiB.*(free|disk)")


@pytest.mark.long
def test_no_network_for_the_base_image(untouched):
    if os.geteuid():
        pytest.skip("a network of its own needs root")
    script = (
        "mkdir -p /var/lib/muster; mount -t tmpfs -o size=8g tmpfs /var/lib/muster; "
        "mount -t sysfs sysfs /sys; ip link set lo up"
    )
    run = untouched.playbook("start_cluster.yml", before=("unshare", "--net", *private(script)))
    run.refused(r"(base image|\.jar|\.gz|\.whl).*(reach|download|fetch|resolve|network|connect)|fetch.*\.jar")


def test_smaller_without_permission_says_what_it_would_delete(ready):
    before = sorted(ready.machines())
    run = ready.playbook("start_cluster.yml", "-e", "NUM_NODES=2")
    run.refused(rf"{ready.worker(2)}.*SCALE_IN=true|SCALE_IN=true.*{ready.worker(2)}")
    assert sorted(ready.machines()) == before
    assert ready.status()["wish"] == 3


def test_two_commands_at_once(ready):
    """The second one is refused at once and names the first one."""
    first = ready.start("main.yml", "-e", "IMAGE_SIZE=16")
    try:
        holds = ready.state_dir / "lease"
        while first.process.poll() is None and not (
            holds.is_file() and str(first.process.pid) in holds.read_text()
        ):
            pass
        if first.process.poll() is not None:
            pytest.skip("main.yml takes no lease: it changes nothing that two commands could fight about")
        ready.playbook("destroy_cluster.yml").refused(rf"{first.process.pid}")
    finally:
        first.wait().ok()


def test_vault_encrypted_variables(untouched, tmp_path):
    """A vault-encrypted variables file is opened with a password file."""
    password = tmp_path / "password"
    password.write_text("correct horse\n")
    secret = tmp_path / "vault.yml"
    secret.write_text(yaml.safe_dump({"NUM_NODES": 0}))
    subprocess.run(
        [
            sys.executable,
            "-m",
            "ansible",
            "vault",
            "encrypt",
            "--vault-password-file",
            str(password),
            str(secret),
        ],
        check=True,
        capture_output=True,
    )
    run = untouched.playbook("start_cluster.yml", "--vault-password-file", str(password), "-e", f"@{secret}")
    run.refused(WRONG_SIZES["0"])
