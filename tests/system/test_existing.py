"""Hosts that a user has already become a cluster, and get back what they were."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from provision.cluster import firstboot
from provision.core.paths import PROJECT
from provision.providers.existing import agent
from provision.providers.local import images
from provision.ssh.keys import new_bootstrap_key
from tests.system.hosts import Hosts

SNAPSHOT = """
cat /etc/hosts /etc/passwd /etc/group; sudo ls /etc/sudoers.d /etc/ssh/sshd_config.d /etc/systemd/system
sudo cat /etc/ssh/ssh_host_*_key.pub; sudo nft list table inet mine; sudo cat ~/.ssh/authorized_keys; ls / /opt /home
"""
OURS = """
sudo find / -xdev \\( -name '*muster*' -o -name 'hdfs*' -o -name 'spark-*' \\) -not -path '/proc/*' \\
  -not -path '/sys/*' -not -path '/var/lib/cloud/*' -not -path '/usr/lib/*' -not -path '/var/log/*' \\
  -not -path '/var/cache/muster*' -not -path '/usr/share/*' -not -path '/etc/dpkg/*' -not -path '/etc/apt/*' \\
  -not -path '/etc/ssh/*'
ls -d /data/* /opt/* 2> /dev/null; getent passwd muster hdfs spark hadoop; getent group hadoop
sudo nft list tables | grep muster; grep -c Muster /etc/hosts || true
"""


CHANGES = """
import json, subprocess, sys
source, document = open("/tmp/agent.py").read(), json.load(open("/tmp/document.json"))
def tree():
    left_out = ["/proc", "/run", "/tmp", "/dev"]
    found = subprocess.run(["find", "/", "-xdev", "(", *" -o ".join("-path " + one for one in left_out).split(),
        ")", "-prune", "-o", "-printf", "%p %y %m %U %l\\n"], capture_output=True, text=True, check=True).stdout
    rules = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
    return sorted([*found.splitlines(), rules, open("/etc/passwd").read(), open("/etc/hosts").read()])
def ask(verb, **more):
    text = source + f"\\nmain({json.dumps({**more, 'verb': verb, 'cluster_id': '0123abcd', 'needed': {}})!r})\\n"
    done = subprocess.run(["python3", "-"], input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout)
record = {"cluster": "c", "cluster_id": "0123abcd", "name": "c-master", "group": "master", "token": "t",
    "labels": {}, "data_device": "", "created": 0}
subprocess.run(["ssh-keygen", "-A"], capture_output=True, check=True)  # every host has some
before = tree()
answers = [ask("prepare", record=record, document=document)["ok"]["record"]["name"]]
once = tree()
ask("prepare", record=record, document=document)
same = [line for line in tree() if "cluster.json" not in line] == [line for line in once if "cluster.json" not in line]
answers += [same, ask("prepare", record={**record, "token": "u"}, document=document)["refused"]]
with open("/etc/hosts", "a") as file:
    file.write("# Muster begins\\n10.0.0.1 c-master\\n# Muster ends\\n")
answers += [ask("stop"), ask("remove"), ask("remove")]
backups = ("/etc/subuid-", "/etc/subgid-", "/etc/passwd-", "/etc/shadow-", "/etc/group-", "/etc/gshadow-",
    "/etc/.pwd.lock", "/etc ", "/home ", "/opt ")
changed = sorted(set(before) ^ set(tree()))
answers += [[line for line in changed if not line.startswith(backups)]]
print(json.dumps(answers))
"""


def test_a_debian_system_gets_back_what_it_was(tmp_path: Path) -> None:
    """The agent alone, on the files of a Debian system that nobody boots."""
    # Not the newest there is: another one may be of the clouds' emulators, which is Debian's and has less in it.
    base = Path("/var/lib/muster/images", images.ensure_base(), "root")
    root, over = tmp_path / "root", tmp_path / "over"
    root.mkdir()
    over.mkdir()
    script = f"""
    mount -t tmpfs none {over} && mkdir {over}/upper {over}/work
    mount -t overlay none -o lowerdir={base},upperdir={over}/upper,workdir={over}/work {root}
    mount -t proc proc {root}/proc && mount -t tmpfs none {root}/run && mkdir -p {root}/run/systemd/system
    cp {agent.__file__} {root}/tmp/agent.py && cp {tmp_path}/document.json {root}/tmp/
    touch {root}/etc/hosts && chroot {root} python3 -
    """
    key = new_bootstrap_key()
    text = firstboot.user_data(login_key="ssh-ed25519 AAAA me", bootstrap=key, shared=True)
    (tmp_path / "document.json").write_text(json.dumps(yaml.safe_load(text)))
    done = subprocess.run(
        ["unshare", "--mount", "--net", "--pid", "--fork", "sh", "-ec", script],
        input=CHANGES,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    name, same, refused, *rest, changed = json.loads(done.stdout)
    assert (name, same, refused) == ("c-master", True, "it belongs to the cluster c already")
    assert rest == [{"ok": {}}] * 3
    assert changed == []


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Callable[..., Hosts]]:
    made: list[Hosts] = []

    def boot(count: int, **more) -> Hosts:
        made.append(Hosts(tmp_path / f"hosts{len(made)}", count, **more))
        return made[-1]

    yield boot
    for one in made:
        one.close()


def keys(hosts: Hosts, **more) -> dict:
    """What the config file says of a cluster on these hosts, the first one as the master."""
    first, *rest = hosts.entries()
    size = {"cores": 2, "memory_gb": 3, "data_disk_gb": 0}
    groups = {"master": {**size, "hosts": [first]}, "worker": {**size, "hosts": rest}}
    return {
        "provider": "existing",
        "nodes": len(hosts.addresses),
        "groups": groups,
        "object_store": {"kind": "none"},
        **more,
    }


def test_a_host_is_prepared_and_given_back(labs, hosts):
    theirs = hosts(1)
    lab = labs(**keys(theirs))
    before = theirs.ssh(0, SNAPSHOT)
    lab.write(
        groups={
            "master": {**lab.keys["groups"]["master"], "hosts": [{**theirs.entries()[0], "host_key": ""}]}
        }
    )
    key = re.escape(theirs.host_keys[0])
    lab.playbook("start_cluster.yml").refused(
        rf"host key is not known yet; it shows SHA256:.* host_key: {key}"
    )
    said = answering(lab, b"yes\r", "start_cluster.yml")
    assert "These hosts show host keys that are not known yet" in said
    lab.write(**keys(theirs))
    assert lab.playbook("start_cluster.yml").ok().changed == 0
    assert theirs.ssh(0, "sudo nft list table inet mine; grep printer /etc/hosts")
    assert lab.master in theirs.ssh(0, "cat /etc/hosts")
    other = labs(**keys(theirs))
    other.playbook("start_cluster.yml").refused(f"belongs to the cluster {lab.name}")
    lab.destroy().ok()
    assert not lab.state_dir.exists()
    assert theirs.ssh(0, OURS).split() == ["0"]
    after = theirs.ssh(0, SNAPSHOT)
    lost = set(before.splitlines()) - set(after.splitlines())
    assert not [
        line
        for line in lost
        if not any(word in line for word in ("hadoop", "hdfs", "spark", "muster", "data"))
    ]
    assert set(after.splitlines()) <= set(before.splitlines())
    assert "192.0.2.7 printer" in after
    assert "table inet mine" in after


def answering(lab, answer: bytes, playbook: str) -> str:
    """Run a playbook on a terminal of its own, answer its question, return what it showed."""
    child, terminal = pty.fork()
    if not child:
        os.chdir(PROJECT)
        os.execvpe("ansible-playbook", lab.command(playbook), lab.environment())  # noqa: S606
    shown = b""
    with contextlib.suppress(OSError):  # the terminal goes when the playbook has ended
        while True:
            ready = select.select([terminal], [], [], 1)[0]
            if ready:
                shown += os.read(terminal, 4096)
            elif shown.rstrip().endswith(b"Then say yes:"):  # what came before the prompt was thrown away
                os.write(terminal, answer)
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    assert status == 0, shown.decode(errors="replace")[-3000:]
    return shown.decode(errors="replace")


@pytest.mark.long
def test_a_cluster_of_hosts_does_all_that_others_do(labs, hosts):
    theirs = hosts(2)
    lab = labs(**keys(theirs))
    lab.up(16)
    assert lab.playbook("main.yml", "-e", "IMAGE_SIZE=16").ok().changed == 0
    lab.muster("verify").ok()
    assert lab.status()["services"]["datanodes"] == 2
    lab.destroy().ok()
    for number in range(2):
        assert theirs.ssh(number, OURS).split() == ["0"]


@pytest.mark.long
def test_a_plain_debian_host_gets_everything_installed(labs, hosts):
    theirs = hosts(1, baked=False)
    lab = labs(**keys(theirs))
    lab.playbook("start_cluster.yml", timeout=1200).ok()
    lab.playbook("main.yml", "-e", "IMAGE_SIZE=16").ok()
    lab.muster("verify").ok()
    assert lab.playbook("start_cluster.yml").ok().changed == 0
    lab.destroy().ok()
    assert theirs.ssh(0, OURS).split() == ["0"]
