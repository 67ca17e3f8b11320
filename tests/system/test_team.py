"""What there is, who may use it, and how somebody else goes on with it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from provision.config.load import load_config
from provision.core.model import ClusterIdentity
from provision.core.paths import PROJECT
from provision.providers.local.provider import LocalProvider
from tests.system.lab import Lab, eventually


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """Somebody's key pair."""
    path = tmp_path / "katie"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "katie@home", "-f", path], check=True
    )
    return path


def command(lab: Lab, key: Path, user: str, name: str, script: str) -> list[str]:
    known = lab.state_dir / "known_hosts"
    address = lab.machines()[name]["address"]
    options = (f"UserKnownHostsFile={known}", f"HostKeyAlias={name}", "IdentitiesOnly=yes", "BatchMode=yes")
    return [
        "ssh",
        "-F",
        "none",
        "-i",
        str(key),
        *(f"-o{option}" for option in options),
        f"{user}@{address}",
        script,
    ]


def said(lab: Lab, key: Path, user: str, name: str, script: str) -> str:
    """What a script prints there for the owner of a key; the reason when they are not let in."""
    done = subprocess.run(command(lab, key, user, name, script), capture_output=True, text=True, check=False)
    return done.stdout.strip() or done.stderr.strip()


def found(lab: Lab) -> dict:
    # The project's own config files name clouds too: whoever runs the tests has no account there for this command.
    away = [f"-u{name}" for name in os.environ if name.startswith(("AWS_", "SL_"))]
    home = [f"HOME={lab.folder}", "AWS_EC2_METADATA_DISABLED=true"]
    run = lab.run(["env", *away, *home, str(PROJECT / "muster"), "-i", str(lab.config), "list", "--json"])
    clusters = run.ok().json()["clusters"]
    return next(cluster for cluster in clusters if cluster["cluster"] == lab.name)


def test_what_there_is_and_what_it_costs(ready):
    seen = found(ready)
    assert seen["provider"] == "local" and seen["state_here"] and seen["hourly"] == 0
    assert seen["machines"] == dict.fromkeys(ready.names, "running")
    checked = ready.playbook("start_cluster.yml", "--check", "-e", "NUM_NODES=4").ok()
    assert f"would create {ready.worker(3)} " in checked.output and "$/MONTH" in checked.output
    spent = next(one for one in ready.muster("cost", "--json").ok().json() if one["cluster"] == ready.name)
    assert spent["dollars"] == 0 and spent["machines"] >= 3 and spent["hours_of_unknown_price"] == 0
    assert set(ready.machines()) == set(ready.names)


def test_somebody_is_let_in_and_kept_out(ready, key):
    ready.muster("access", "add", "katie", f"{key}.pub").ok()
    try:
        for name in ready.names:
            assert said(ready, key, "hadoop", name, "id -un") == "hadoop"
            assert said(ready, key, "muster", name, "sudo id -un") == "root"
        session = subprocess.Popen(
            command(ready, key, "hadoop", ready.master, "echo in; exec sleep 600"), stdout=subprocess.PIPE
        )
        assert session.stdout and session.stdout.readline() == b"in\n"
    finally:
        ready.muster("access", "remove", "katie").ok()
    eventually(lambda: session.poll() is not None, 10, "ended")
    for name in ready.names:
        assert "Permission denied" in said(ready, key, "hadoop", name, "id -un")
        assert "Permission denied" in said(ready, key, "muster", name, "id -un")
    assert "katie" not in ready.config.read_text()
    ready.ssh(ready.master, "true").ok()


def test_a_key_that_a_job_leaves_opens_nothing(ready, key):
    """sshd knows root's file alone, whatever lies in the homes of those who run jobs."""
    public = key.with_suffix(".pub").read_text().strip()
    files = "~/.ssh/authorized_keys ~/.ssh/authorized_keys2"
    ready.ssh(ready.master, f"mkdir -p ~/.ssh && echo '{public}' | tee {files} && chmod 600 {files}").ok()
    try:
        assert "Permission denied" in said(ready, key, "hadoop", ready.master, "id -un")
    finally:
        ready.ssh(ready.master, f"rm {files}").ok()


@pytest.mark.long
def test_who_was_let_in_stays_in(ready, key):
    """The keys that `access` writes are the ones that the playbooks write."""
    ready.muster("access", "add", "katie", f"{key}.pub").ok()
    try:
        assert ready.playbook("start_cluster.yml").ok().changed == 0
        assert said(ready, key, "hadoop", ready.worker(1), "id -un") == "hadoop"
    finally:
        ready.muster("access", "remove", "katie").ok()
    assert ready.playbook("start_cluster.yml").ok().changed == 0


def test_a_lost_state_is_made_anew(labs: Callable[..., Lab], key):
    access = {"katie": key.with_suffix(".pub").read_text().strip()}
    small = {"master": {"cores": 1, "memory_gb": 3, "data_disk_gb": 1}}
    lab = labs(nodes=1, groups=small, access=access, object_store={"kind": "none"})
    lab.playbook("start_cluster.yml").ok()
    known = (lab.state_dir / "known_hosts").read_text()
    shutil.rmtree(lab.state_dir)
    seen = found(lab)
    assert not seen["state_here"]

    provider, cluster = (
        LocalProvider(load_config(lab.config), lab.state_dir),
        ClusterIdentity(lab.name, seen["id"]),
    )
    (machine,) = provider.list(cluster)
    provider.label(cluster, {machine.provider_id: {"host_key": f"ed25519-{'0' * 64}"}})
    lab.muster("adopt", lab.name, "--key", str(key)).refused("host key that is not the pinned one")
    assert not lab.state_dir.exists()
    provider.label(cluster, {machine.provider_id: {"host_key": machine.labels["host_key"]}})

    lab.muster("adopt", lab.name, "--key", str(key)).ok()
    assert (lab.state_dir / "known_hosts").read_text() == known
    assert lab.master in lab.muster("status").ok().answer
    lab.muster("destroy", "--yes").ok()
    assert not lab.machines() and not lab.state_dir.exists()
    assert key.is_file(), "the person's own key is not the cluster's to delete"


@pytest.mark.long
def test_a_second_checkout_goes_on(labs: Callable[..., Lab], key, tmp_path, store):
    """It adopts, trains, scales; the first one still works; the second one destroys."""
    access = {"katie": key.with_suffix(".pub").read_text().strip()}
    first = labs(nodes=2, access=access)
    first.up(16)
    second = labs(nodes=2, access=access, name=first.name)
    second.muster("adopt", first.name, "--key", str(key)).ok()
    assert second.playbook("start_cluster.yml").ok().changed == 0
    assert json.loads((second.state_dir / "secrets" / "store.json").read_text()) == json.loads(
        (first.state_dir / "secrets" / "store.json").read_text()
    )
    assert second.playbook("main.yml", "-e", "IMAGE_SIZE=16").ok().changed == 0
    run = second.muster("submit", "logistic_regression").ok()
    assert "accuracy" in run.output
    second.playbook("start_cluster.yml", "-e", "NUM_NODES=3").ok()
    first.ssh(first.master, "true").ok()
    assert first.playbook("start_cluster.yml", "-e", "NUM_NODES=3").ok().changed == 0
    first.ssh(first.worker(2), "true").ok()
    second.playbook("main.yml", "-e", "IMAGE_SIZE=16").ok()
    second.destroy().ok()
    assert not first.machines()
    first.destroy().ok()
