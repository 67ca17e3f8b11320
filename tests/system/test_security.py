"""Nobody gets in who should not, and secrets stay where they are."""

from __future__ import annotations

import json
import re
import shlex
import socket
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.system.lab import eventually
from tests.system.leftovers import ROOT as LOCAL
from tests.system.undo import changed

STORE = "object-store"
BUSY = """\
import time
from pyspark.sql import SparkSession
spark = SparkSession.builder.appName("busy").getOrCreate()
spark.range(3).count()
print("in task", flush=True)
spark.sparkContext.parallelize(range(3), 3).foreach(lambda _: time.sleep(6))
"""
PORTS = {
    "NameNode": 8020,
    "NameNode's page": 9870,
    "DataNode": 9866,
    "DataNode's page": 9864,
    "DataNode's calls": 9867,
    "Master": 7077,
    "Master's page": 8080,
    "Worker's page": 8081,
    "History": 18080,
}


def addresses(lab) -> dict[str, str]:
    return {name: node["address"] for name, node in lab.machines().items()}


def open_from_here(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=0.5).close()
    except OSError:
        return False
    return True


def test_only_ssh_is_open_for_this_computer(ready):
    there = addresses(ready)
    assert all(open_from_here(address, 22) for address in there.values())
    doors = [(name, what) for name in there for what in PORTS]
    with ThreadPoolExecutor(len(doors)) as pool:
        found = pool.map(lambda door: open_from_here(there[door[0]], PORTS[door[1]]), doors)
    assert not [door for door, is_open in zip(doors, found, strict=True) if is_open]


def test_nothing_is_open_for_a_machine_of_another_network(ready):
    """The object store's machine is one: routed, but no member."""
    script = " ".join(
        f"(timeout 1 bash -c '</dev/tcp/{address}/{port}' 2>/dev/null && echo {name} {port}) &"
        for name, address in addresses(ready).items()
        for port in PORTS.values()
    )
    run = ready.ssh(STORE, f"{script} wait", user="muster").ok()
    assert not run.answer.strip(), run.report()


def test_members_reach_each_other(ready):
    """What the two tests before show is the firewall, not daemons that are down."""
    there = addresses(ready)
    script = " && ".join(
        f"timeout 2 bash -c '</dev/tcp/{there[ready.master]}/{port}'"
        for port in (8020, 9870, 7077, 8080, 18080)
    )
    ready.ssh(ready.worker(1), script).ok()


def test_services_listen_on_the_private_address_only(ready):
    """Nothing but SSH listens on every address of a machine."""
    for name in ready.names:
        listing = ready.ssh(name, "sudo ss -Hltnp", user="muster").ok().answer
        wide = [
            line
            for line in listing.splitlines()
            if re.match(r"(0\.0\.0\.0|\*|\[::\]):", line.split()[3]) and not line.split()[3].endswith(":22")
        ]
        assert not wide, (name, wide)


def secrets_of(lab) -> dict[str, str]:
    """The secrets of a cluster of this computer: it has no session token, and an access key is none."""
    secrets = lab.state_dir / "secrets"
    store = json.loads((secrets / "store.json").read_text())
    found = {"spark": (secrets / "spark").read_text().strip(), "store": store["secret_key"]}
    assert {path.name for path in secrets.iterdir()} == {"spark", "store.json"}, "one that is not looked for"
    assert store["session_token"] == ""
    assert all(len(value) > 15 for value in found.values())
    return found


def test_secrets_are_in_no_process_list(ready, tmp_path):
    """While a Spark application runs, here and on every node."""
    program = tmp_path / "busy.py"
    program.write_text(BUSY)
    name = ready.muster("submit", "--detach", str(program)).ok().answer.strip()
    eventually(lambda: "in task" in ready.muster("logs", name).output, 60, "busy")
    here = subprocess.run(
        ["ps", "-e", "-ww", "-o", "args"], capture_output=True, text=True, check=True
    ).stdout
    there = "".join(ready.ssh(node, "ps -e -ww -o args", user="muster").ok().answer for node in ready.names)
    assert "CoarseGrainedExecutorBackend" in there
    for secret, value in secrets_of(ready).items():
        assert value not in here + there, secret
    ready.muster("logs", name, "--follow", timeout=60).ok()


def test_secrets_are_in_no_log_and_no_user_data(ready):
    values = secrets_of(ready)
    for name in ready.names:
        script = (
            "sudo sh -c 'cat /var/lib/cloud/seed/nocloud/* /var/lib/cloud/instance/user-data.txt"
            " /var/log/cloud-init*.log' 2>/dev/null;"
            " sudo journalctl --no-pager -o cat -a"
        )
        said = ready.ssh(name, script, user="muster").answer
        assert said
        assert not [secret for secret, value in values.items() if value in said], name
    for path in [
        *ready.folder.glob("log*"),
        *(ready.state_dir / "log").rglob("*"),
        *ready.state_dir.glob("*.jsonl"),
        *(ready.state_dir / "reports").rglob("*"),
        *LOCAL.glob("nodes/*/console.log"),
        LOCAL / "registry.json",
    ]:
        if path.is_file():
            text = path.read_text(errors="replace")
            assert not [secret for secret, value in values.items() if value in text], path


def test_secrets_are_readable_for_their_owner_only(ready):
    assert stat.S_IMODE(ready.state_dir.stat().st_mode) == 0o700
    for path in [
        ready.state_dir / "id_ed25519",
        ready.state_dir / "journal.jsonl",
        *(ready.state_dir / "secrets").iterdir(),
    ]:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    values = " ".join(shlex.quote(value) for value in secrets_of(ready).values())
    for name in ready.names:
        # As somebody who has no rights at all.
        script = (
            f"printf '%s\\n' {values} | sudo sh -c 'cat > /run/wanted; chmod 644 /run/wanted';"
            " sudo setpriv --reuid=65534 --regid=65534 --clear-groups"
            " grep -rlsF -f /run/wanted --exclude=wanted /etc /opt /srv /var/lib /var/log /home /data /run;"
            " sudo rm /run/wanted"
        )
        assert not ready.ssh(name, script, user="muster").answer.strip(), name


REACH_FOR_DISKS = """\
mkdir -p /run/all /run/mine
mount -t devtmpfs none /run/all
mount -t tmpfs -o dev none /run/mine
own=$(stat -c '%Hr %Lr' /dev/xvdc)
{
  awk 'NR > 2 {print $1, $2, $4}' /proc/partitions
  cd /run/all && find . -type b -exec stat -c '%Hr %Lr %n' {} +
} | while read -r major minor name; do
  [ "$major $minor" != "$own" ] || continue
  name=${name##*/}
  mknod "/run/mine/$name" b "$major" "$minor" 2>/dev/null && echo "made $name"
  for disk in "/run/mine/$name" "/run/all/$name"; do
    head -c 512 "$disk" >/dev/null 2>&1 && echo "read $disk"
  done
  echo "tried $name" >&2
done
head -c 512 /dev/xvdc >/dev/null && echo "own disk"
cd / && umount /run/all /run/mine
"""


def test_a_nodes_root_reaches_no_disk_of_this_computer(ready):
    """Nor another node's; its own data disk works."""
    for name in ready.names:
        run = ready.ssh(name, f"sudo sh -s <<'END'\n{REACH_FOR_DISKS}END", user="muster").ok()
        assert run.answer.splitlines() == ["own disk"], run.report()
        assert run.output.count("tried loop") >= 2, run.report()


def test_passwords_and_root_are_refused(ready):
    config = str(ready.state_dir / "ssh_config")
    for name in ready.names:
        settings = ready.ssh(name, "sudo sshd -T", user="muster").ok().answer
        assert "passwordauthentication no" in settings and "permitrootlogin no" in settings
        assert "ecdsa" not in "".join(
            line for line in settings.splitlines() if line.startswith("hostkey ")
        ), "bootstrap key"
    denied = ready.run(
        ["ssh", "-F", config, "-o", "BatchMode=yes", "-o", "ControlPath=none", f"root@{ready.master}", "true"]
    )
    assert denied.status == 255 and "denied" in denied.output.lower(), denied.report()


def test_an_unknown_datanode_is_refused(ready):
    """Taken off the include list, a DataNode may not come back until it is on it again."""
    name = ready.worker(2)
    include, unit = "/etc/hadoop/dfs.include", "hdfs-datanode"
    kept = ready.ssh(ready.master, f"sudo cat {include}", user="muster").ok().answer
    mine = {name, addresses(ready)[name]}
    # As Muster does it, which also notes that the file was taken in.
    refresh = "sudo systemctl reload hdfs-namenode"
    try:
        rest = "\n".join(line for line in kept.splitlines() if not mine & set(line.split())) + "\n"
        assert rest.strip() != kept.strip()
        ready.ssh(
            ready.master, f"sudo tee {include} >/dev/null <<'END'\n{rest}END\n{refresh}", user="muster"
        ).ok()
        ready.ssh(name, f"sudo systemctl restart --no-block {unit}", user="muster").ok()
        said = f"sudo journalctl --no-pager -u {unit} --since=-2min -o cat"
        eventually(
            lambda: re.search(
                r"denied communication|Disallowed", ready.ssh(name, said, user="muster").answer
            ),
            60,
            "refused",
        )
    finally:
        ready.ssh(
            ready.master, f"sudo tee {include} >/dev/null <<'END'\n{kept}END\n{refresh}", user="muster"
        ).ok()
        ready.ssh(
            name,
            f"sudo systemctl reset-failed {unit}; sudo systemctl restart --no-block {unit}",
            user="muster",
        ).ok()
        eventually(lambda: ready.status()["services"]["datanodes"] == 3, 90, "three DataNodes again")


def test_a_program_without_the_secret_gets_nothing_from_spark(ready):
    script = (
        "echo 'from pyspark.sql import SparkSession as S; S.builder.getOrCreate().range(9).count()'"
        " > /tmp/intruder.py;"
        " timeout 60 spark-submit --conf spark.authenticate=false /tmp/intruder.py"
    )
    assert ready.ssh(ready.worker(1), script, timeout=90).status != 0


@pytest.fixture
def another_host_key(ready):
    """A worker that shows another host key than the pinned one; its own one comes back afterwards."""
    swap = (
        "cd /etc/ssh && mkdir -m 700 kept && mv ssh_host_ed25519_key* kept/"
        " && ssh-keygen -q -t ed25519 -N '' -f ssh_host_ed25519_key && systemctl restart ssh"
    )
    back = "mv kept/* . && rmdir kept && systemctl restart ssh"
    with changed(ready, ready.worker(1), swap, back):
        yield ready.worker(1)


def test_a_machine_with_another_host_key_is_refused(ready, another_host_key):
    before = Path(ready.state_dir / "known_hosts").read_text()
    ready.playbook("start_cluster.yml").refused(rf"{another_host_key}.*host key")
    assert ready.ssh(another_host_key, "true", timeout=30).status == 255
    assert Path(ready.state_dir / "known_hosts").read_text() == before
