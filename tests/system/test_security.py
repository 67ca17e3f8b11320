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

from provision.providers.local.helper import cgroups, disks, idmap
from tests.system.lab import eventually, registry
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
    found = {name: (secrets / name).read_text().strip() for name in ("engines", "spark")}
    found["store"] = store["secret_key"]
    found["queue"] = (secrets / "queue").read_text().splitlines()[4]  # there is the seed of an Ed25519 key
    known = {"engines", "queue", "queue.pub", "spark", "store.json"}
    assert {path.name for path in secrets.iterdir()} == known, "one that is not looked for"
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
        *LOCAL.glob("nodes/*/console/console.log"),
        LOCAL / "registry.json",
    ]:
        if path.is_file():
            text = path.read_text(errors="replace")
            assert not [secret for secret, value in values.items() if value in text], path


def test_cloud_init_itself_knows_all_that_it_is_told(ready):
    script = "sudo cloud-init schema --config-file /var/lib/cloud/seed/nocloud/user-data"
    assert "Valid schema" in ready.ssh(ready.master, script, user="muster").ok().answer


def test_secrets_are_readable_for_their_owner_only(ready):
    assert stat.S_IMODE(ready.state_dir.stat().st_mode) == 0o700
    for path in [
        ready.state_dir / "id_ed25519",
        ready.state_dir / "journal.jsonl",
        *(path for path in (ready.state_dir / "secrets").iterdir() if path.suffix != ".pub"),
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


REACH_OUT = """\
mkdir -p /run/p /run/dev /run/mine /run/cg
mount -t proc proc /run/p && echo '|/bin/false' > /run/p/sys/kernel/core_pattern && echo "wrote core_pattern"
mount -o remount,rw /proc/sys; echo '|/bin/false' > /proc/sys/kernel/core_pattern && echo "wrote /proc/sys"
mount -t devtmpfs none /run/dev && echo "mounted devtmpfs"
mount -t tmpfs -o dev none /run/mine
awk 'NR > 2 {print $1, $2, $4}' /proc/partitions | while read -r major minor name; do
  mknod "/run/mine/$name" b "$major" "$minor" && echo "made $name"
  head -c 512 "/dev/$name" >/dev/null && echo "read $name"
done
for kind in devices memory pids cpu; do
  mount -t cgroup -o $kind none /run/cg
  for top in /run/cg /sys/fs/cgroup/$kind /sys/fs/cgroup; do
    echo 'b *:* rwm' > $top/devices.allow && echo "opened devices"
    echo 9663676416 > $top/memory.limit_in_bytes && echo "raised memory"
    echo max > $top/memory.max && echo "raised memory"
    echo max > $top/pids.max && echo "raised pids"
    echo -1 > $top/cpu.cfs_quota_us && echo "raised cpu"
  done
done
insmod /dev/null 2>&1 | grep -qi 'invalid' && echo "may load modules"
umount /run/p /run/mine
true
"""


def test_a_nodes_root_is_nobody_on_this_computer(ready):
    """It changes no setting of the kernel, none of its own limits, and reaches no disk."""
    pattern = Path("/proc/sys/kernel/core_pattern").read_text()
    for name in ready.names:
        run = ready.ssh(name, f"sudo sh -s 2>/dev/null <<'END'\n{REACH_OUT}END", user="muster").ok()
        assert not run.answer.strip(), run.report()
    assert Path("/proc/sys/kernel/core_pattern").read_text() == pattern
    for node in registry()["nodes"].values():
        init = cgroups.init(node["unit"])
        if node["name"] in ready.names and init:
            ids = Path(f"/proc/{init}/status").read_text()
            assert f"Uid:\t{node['first_id']}\t" in ids and node["first_id"] >= idmap.FIRST
            group = next(path for path in cgroups.groups(node["unit"]) if (path / "pids.max").exists())
            assert int((group / "pids.max").read_text()) == cgroups.processes_of(node["memory_mb"])


def test_other_users_of_this_computer_see_nothing_of_a_node(ready):
    for folder in ("nodes", "images", "stores", "locks"):
        looked = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "ls", LOCAL / folder]
        assert subprocess.run(looked, capture_output=True, check=False).returncode, folder
    assert stat.S_IMODE((LOCAL / "registry.json").stat().st_mode) == 0o600
    for log in LOCAL.glob("nodes/*/console/console.log"):
        assert stat.S_IMODE(log.stat().st_mode) == 0o600, log


def test_a_node_fills_its_own_disk_only(ready):
    size = int(ready.ssh(ready.worker(1), "df --output=size -BG / | tail -1").ok().answer.strip(" G\n"))
    assert size <= disks.ROOT_DISK_GB


def test_a_node_asks_this_computer_for_nothing(ready):
    """What listens here on every address is not there for nodes."""
    with socket.create_server(("0.0.0.0", 0)) as server:  # noqa: S104  that is the point
        port = server.getsockname()[1]
        gateway = addresses(ready)[ready.master].rpartition(".")[0] + ".1"
        asked = f"timeout 2 bash -c '</dev/tcp/{gateway}/{port}' && echo reached"
        assert "reached" not in ready.ssh(ready.worker(1), asked).answer
        assert open_from_here(gateway, port), "for this computer itself it is"


def test_the_store_answers_nobody_here(ready):
    """From whichever of this computer's own addresses it is asked."""
    known = registry()
    store = next(n for n in known["nodes"].values() if n["store"] == ready.store)
    for net in known["networks"].values():
        gateway = net["subnet"].rpartition(".")[0] + ".1"
        with pytest.raises(OSError, match=r"timed out|refused|assign"):
            socket.create_connection((store["address"], 8080), 0.5, source_address=(gateway, 0))


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
