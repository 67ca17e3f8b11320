"""Runs on a host of the user's as root, sent over SSH with a request; standard library only.

What it does to the host it notes in RECORD first, and `remove` takes all of it back. Prints one line of JSON.
"""

from __future__ import annotations

import fcntl
import grp
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

RECORD = Path("/etc/muster/cluster.json")
RECIPE = Path("/opt/muster/recipe")
ACCOUNTS = {"muster": 1800, "hdfs": 1801, "spark": 1802, "hadoop": 1803, "launcher": 1806, "mlflow": 1811}
GROUP = "hadoop"
UNITS = ("hdfs-*", "spark-*", "muster-*")
KINDS = ("service", "timer", "path", "socket")
HOSTS = Path("/etc/hosts")
MARKS = ("# Muster begins\n", "# Muster ends\n")
SUDOERS = Path("/etc/sudoers.d/muster")
SSHD = Path("/etc/ssh/sshd_config")
INCLUDES = re.compile(r"^\s*Include\s.*/etc/ssh/sshd_config\.d/\*\.conf", re.MULTILINE | re.IGNORECASE)
DATA = Path("/data")
OURS_IN_DATA = ("hdfs", "spark", "scratch", "datasets", "notebooks", "mlflow")
INSTANCES = ("muster-job@*.service", "muster-away@*.service", "muster-engine@*.service", "mlflow.service")
PATHS = (
    "/opt/hadoop", "/opt/spark", "/opt/muster", "/etc/hadoop", "/etc/spark", "/var/lib/muster",
    "/var/cache/muster", "/run/muster-*secrets",
    "/etc/mlflow", "/etc/systemd/system/mlflow.service", "/usr/local/bin/hdfs", "/usr/local/bin/pyspark",
    "/usr/local/bin/spark-*", "/usr/local/bin/muster-job", "/usr/local/sbin/muster-*",
    "/etc/ssh/sshd_config.d/*-muster-keys.conf", "/etc/tmpfiles.d/muster*.conf",
    "/usr/lib/python3/dist-packages/muster*.pth", "/etc/systemd/journald.conf.d/muster.conf",
)  # fmt: skip
"""All that the roles put on a machine, besides units, accounts and what lies in DATA; a test compares."""
APT_LOCK_S = 300
"""How long another apt is waited for, the owner's upgrades for example."""


class Refused(Exception):
    """The host cannot be used; the text is one line."""


def look(_: dict[str, Any]) -> dict[str, Any]:
    """Say what the host is, what stands against using it, whose it is now, and who asks (an address)."""
    known = dict(
        line.strip().split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line
    )
    memory = next(
        line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal")
    )
    return {
        "system": known.get("PRETTY_NAME", "").strip('"'),
        "release": f"{known.get('ID', '')} {known.get('VERSION_ID', '')}".replace('"', ""),
        "systemd": Path("/run/systemd/system").is_dir(),
        "cores": os.cpu_count(),
        "memory_gb": round(int(memory.split()[1]) / (1 << 20), 1),
        "record": record(),
        "image": RECIPE.read_text() if RECIPE.exists() else "",
        "against": "" if record() else against(),
        "from": (sys.argv[1].split() or [""])[0] if len(sys.argv) > 1 else "",
    }


def record() -> dict[str, Any] | None:
    """Return what was noted on this host, None when it belongs to no cluster."""
    try:
        found: dict[str, Any] = json.loads(RECORD.read_text())
    except FileNotFoundError:
        return None
    return found


def note(content: dict[str, Any]) -> None:
    """Replace the record, whole or not at all."""
    RECORD.parent.mkdir(mode=0o755, exist_ok=True)
    fresh = RECORD.with_suffix(".new")
    with fresh.open("w") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(RECORD)


def against() -> str:
    """Return what on the host would be in the way, '' when nothing is."""
    if Path("/var/lib/muster/registry.json").exists():
        return "it makes local machines with Muster itself"
    for name, number in ACCOUNTS.items():
        for user in pwd.getpwall():
            if user.pw_name == name and user.pw_uid != number:
                return f"it has a user {name} of its own"
            if user.pw_uid == number and user.pw_name != name:
                return f"its user {user.pw_name} has the number {number}, which {name} needs"
    if not INCLUDES.search(SSHD.read_text()):
        return f"its {SSHD} does not include /etc/ssh/sshd_config.d/*.conf, where our accounts get their keys"
    if RECIPE.exists():
        return ""
    there = [str(path) for pattern in PATHS for path in matching(pattern)]
    there += [str(DATA / name) for name in OURS_IN_DATA if (DATA / name).exists()]
    return f"it has {there[0]} already" if there else ""


def prepare(request: dict[str, Any]) -> dict[str, Any]:
    """Make the host a cluster's: what the first-boot document says, carried out here. Again is harmless."""
    now = record()
    if now and now["token"] != request["record"]["token"]:
        raise Refused(f"it belongs to the cluster {now['cluster']} already")
    if not now:
        if reason := against():
            raise Refused(reason)
        before = DATA.stat() if DATA.is_dir() else None
        data = [before.st_mode & 0o7777, before.st_uid, before.st_gid] if before else None
        note({**request["record"], "created": time.time(), "data": data})
    install_needed(request["needed"])
    document = request["document"]
    for user in document.get("users", ()):
        add_user(user)
    for command in document.get("bootcmd", ()):
        run(command[3:] if command[0] == "cloud-init-per" else command)
    for file in document.get("write_files", ()):
        path = Path(file["path"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file["content"])
        path.chmod(int(file.get("permissions", "0644"), 8))
    run(["systemctl", "daemon-reload"])
    for command in document.get("runcmd", ()):
        run(command)
    run(["systemctl", "start", "muster-firewall.service"])
    return look({})


def install_needed(needed: dict[str, str]) -> None:
    """Install what is missing of that; `needed`: what shows that a package is there (a glob) -> package."""
    missing = [package for pattern, package in needed.items() if not matching(pattern)]
    if not missing:
        return
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    apt = ["apt-get", "-q", "-o", f"DPkg::Lock::Timeout={APT_LOCK_S}"]
    end = time.monotonic() + APT_LOCK_S
    while True:
        try:
            run([*apt, "update"], quiet)
        except Refused as error:  # apt's own time-out is not for the lock on lists of packages
            if "Unable to lock" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(1)
        else:
            break
    run([*apt, "install", "-y", "--no-install-recommends", *missing], quiet)


def add_user(user: dict[str, Any]) -> None:
    """Make an account with its right to sudo; what keys open it is a file of root's."""
    name = user["name"]
    if name not in {known.pw_name for known in pwd.getpwall()}:
        options = ["--create-home", "--user-group", f"--uid={user['uid']}", f"--shell={user['shell']}"]
        run(["useradd", *options, f"--comment={user['gecos']}", "--password=*", name])
    SUDOERS.write_text(f"{name} {user['sudo']}\n")
    SUDOERS.chmod(0o440)


def label(request: dict[str, Any]) -> dict[str, Any]:
    """Write labels into the record; others stay."""
    now = mine(request)
    if now:
        note({**now, "labels": {**now["labels"], **request["labels"]}})
    return {}


def stop(request: dict[str, Any]) -> dict[str, Any]:
    """Stop the cluster's services; the host itself stays on."""
    services = units(("hdfs-*", "spark-*", "muster-job*", "muster-notebook*", "muster-controller*"))
    if mine(request) and services:
        run(["systemctl", "stop", *services, *INSTANCES])
    return {}


def remove(request: dict[str, Any]) -> dict[str, Any]:
    """Take back all that was put here for the cluster, the record last. Again is harmless."""
    now = mine(request)
    if not now:
        return {}
    ours = units(UNITS)
    run(["systemctl", "stop", *ours, *INSTANCES], check=False)
    run(["systemctl", "disable", *ours], check=False)
    end_processes()
    run(["nft", "delete", "table", "inet", "muster"], check=False)
    for pattern in (*UNITS, "*.wants/muster-*"):
        for path in matching(f"/etc/systemd/system/{pattern}"):
            erase(path)
    forget_data(now)
    for name in ACCOUNTS:
        run(["userdel", "--force", "--remove", name], check=False)
    if any(group.gr_name == GROUP for group in grp.getgrall()):
        run(["groupdel", GROUP], check=False)
    SUDOERS.unlink(missing_ok=True)
    for pattern in PATHS:
        for path in matching(pattern):
            erase(path)
    text = HOSTS.read_text()
    head, begun, rest = text.partition(MARKS[0])
    if begun:
        HOSTS.write_text(head + rest.partition(MARKS[1])[2])
    run(["systemctl", "daemon-reload"])
    run(["systemctl", "reset-failed", *UNITS], check=False)
    run(["systemctl", "try-reload-or-restart", "ssh.service"], check=False)
    shutil.rmtree(RECORD.parent)
    return {}


def forget_data(now: dict[str, Any]) -> None:
    """Delete the cluster's folders in DATA; give DATA back as it was."""
    for name in OURS_IN_DATA:
        shutil.rmtree(DATA / name, ignore_errors=True)
    if now["data_device"]:
        run(["umount", str(DATA)], check=False)
    if now["data"]:
        mode, owner, group = now["data"]
        DATA.chmod(mode)
        os.chown(DATA, owner, group)
    elif DATA.is_dir() and not any(DATA.iterdir()):
        DATA.rmdir()


def end_processes() -> None:
    """End what the cluster's accounts still run, and wait until it has ended."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        left = [
            pid
            for pid in (int(path.name) for path in Path("/proc").glob("[0-9]*"))
            if owner(pid) in ACCOUNTS.values()
        ]
        if not left:
            return
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.1)


def owner(pid: int) -> int:
    """Return the user id of a process, -1 when it has ended."""
    try:
        return Path(f"/proc/{pid}").stat().st_uid
    except FileNotFoundError:
        return -1


def erase(path: Path) -> None:
    """Delete a file, a link, or a folder with all in it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def matching(pattern: str) -> list[Path]:
    """Return what is there at an absolute pattern, but for what lies on a mount of its owner's."""
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    found = Path("/").glob(pattern.lstrip("/"))
    return [path for path in found if not any(mount.startswith(f"{path}/") for mount in mounts)]


def mine(request: dict[str, Any]) -> dict[str, Any] | None:
    """Return the record when the host belongs to the request's cluster."""
    now = record()
    return now if now and now["cluster_id"] == request["cluster_id"] else None


def units(patterns: tuple[str, ...]) -> list[str]:
    """Return the names of the cluster's units on this host."""
    found = [path.name for pattern in patterns for path in matching(f"/etc/systemd/system/{pattern}.*")]
    return sorted(name for name in found if "@" not in name and name.rpartition(".")[2] in KINDS)


def run(command: list[str], environment: dict[str, str] | None = None, *, check: bool = True) -> None:
    """Run a command. Raises Refused with its last line when it fails."""
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    if check and done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or f"status {done.returncode}").splitlines()[-1]
        raise Refused(f"{command[0]}: {said}")


def main(text: str) -> None:
    """Carry out one request; nobody else changes the host at the same time."""
    os.umask(0o022)
    request = json.loads(text)
    verbs = {"look": look, "prepare": prepare, "label": label, "stop": stop, "remove": remove}
    try:
        with Path("/run/muster-host.lock").open("w") as lock:
            if request["verb"] != "look":
                fcntl.flock(lock, fcntl.LOCK_EX)
            answer: dict[str, Any] = {"ok": verbs[request["verb"]](request)}
    except (Refused, OSError) as error:
        answer = {"refused": " ".join(str(error).split())}
    json.dump(answer, sys.stdout)
