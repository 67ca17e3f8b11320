"""Whatever is called on a machine of a cluster is there, on Debian's official image with what we install.

A new call is found by itself (called.py); it needs a line in debian/SUITE-programs, and its package to be one that the
image has, that every machine gets (needed.py), or that a role of the machine installs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import pytest
import yaml

from muster_node.needed import NEEDED
from provision.cluster import firstboot
from provision.core.features import FEATURES, roles_of
from provision.core.paths import PROJECT
from provision.images.recipe import GPU_ROLES, NODE_ROLES, STORE_ROLES
from provision.providers.existing.provider import RELEASE
from provision.providers.local.helper import bootstrap
from provision.ssh import access, firewall
from provision.ssh.keys import new_bootstrap_key
from tests.unit.project import called

DEBIAN = Path(__file__).parent / "debian"
VERSIONS = yaml.safe_load((PROJECT / "group_vars/all/versions.yml").read_text())["versions"]
SUITES = {VERSIONS["debian"]: "debian 13"}
"""Every suite that is supported, and what its machines say of themselves."""
LATER = ("jobs", "lifetime", "verify")
"""Roles that bring no packages; their programs run on nodes."""
BUILT = [role for role in roles_of(FEATURES, master=True) if (PROJECT / "roles" / role).is_dir()]
MACHINES = {
    "node": (*NODE_ROLES, *LATER),
    "node with a GPU": (*GPU_ROLES, *LATER),
    "object store": (*STORE_ROLES, "node"),
    "master with all features": (*NODE_ROLES, *LATER, *BUILT),
}
OURS = ("/opt/", "/usr/local/", "muster-")
BY_MODULE = {
    "apt": ("/usr/lib/python3/dist-packages/apt", "apt-get"),
    "async_status": (),
    "command": (),
    "copy": ("setfacl",),  # to become a user without rights
    "file": (),
    "group": ("groupadd",),
    "pip": ("python3",),
    "reboot": ("shutdown",),
    "shell": ("sh",),
    "slurp": (),
    "systemd_service": ("systemctl",),
    "user": ("useradd", "usermod"),
}
HERE = {"assert", "debug", "fail", "import_role", "import_tasks", "include_role", "include_tasks", "meta"}
"""Modules that do nothing on the machine."""
UNREAD = {
    "$1-restore": ("iptables-restore", "ip6tables-restore"),
    "$tables": ("iptables", "ip6tables"),
    "agent.py: command": (),  # what its callers give is read
    "class_archives.py: one": ("/usr/bin/java",),
    "dispatch.py: [sys.executable, '-I', sys.argv[0], *words]": ("/usr/bin/python3",),
    "explain.py: program": ("/opt/muster/venv/bin/python",),
    "packages.py: [*pip, '--target', str(target / 'site'), '-r', str(target / 'requirements.txt')]": (
        "python3",
    ),
    "packages.py: [python, '-V']": ("/opt/muster/venv/bin/python",),
    "schema.py: [python / 'bin' / 'python', '-I', '-m', 'mlflow', 'db', 'upgrade', f'sqlite:///{database}']": (
        "/opt/muster/tracking/venv/bin/python",
    ),
    "subjects.py: [sys.executable, '-I', '-c', _MATCH]": ("/usr/bin/python3",),
    "runner.py: self._command": ("/opt/muster/venv/bin/python", "/opt/spark/bin/spark-submit", "bash"),
}
"""What called.py cannot read, and what it is."""


def table(suite: str) -> dict[str, list[str]]:
    """Path and name of a program -> its package, and of which one that is a dependency."""
    found = {}
    for line in (DEBIAN / f"{suite}-programs").read_text().splitlines():
        if not line.startswith("#"):
            path, *packages = line.split()
            found[path] = found[path.rpartition("/")[2]] = packages
            if path.startswith("/usr/bin/"):
                found[path.removeprefix("/usr")] = packages
    return found


@cache
def calls() -> dict[str, set[str]]:
    """Where something is called -> what."""
    given = {"login_key": "ssh-ed25519 AAAA me", "bootstrap": new_bootstrap_key()}
    documents = [
        firstboot.user_data(**given, deadline=2e9),
        firstboot.user_data(**given, shared=True),
        firstboot.store_user_data(),
    ]
    node = PROJECT / "node" / "muster_node"
    everywhere = {
        "user-data": {word for text in documents for word in called.of_cloud_config(yaml.safe_load(text))},
        "access": set(called.of_shell(access.script(["key"]))),
        "firewall": set(called.of_shell(firewall.command([]))),
        "agent": set(called.of_python(PROJECT / "provision/providers/existing/agent.py")),
        "muster_node": {word for path in node.rglob("*.py") for word in called.of_python(path)},
    }
    roles = {role.name: set(called.of_role(role)) for role in (PROJECT / "roles").iterdir()}
    return everywhere | roles


def missing(
    names: Iterable[str], programs: Mapping[str, list[str]], installed: Iterable[str]
) -> dict[str, str]:
    """Return the programs that are not there, each with why."""
    there, found = set(installed), {}
    for name in sorted({real for one in names for real in UNREAD.get(one, (one,))}):
        if name.startswith(OURS):
            continue
        if name not in programs:
            found[name] = "name its package in debian/SUITE-programs"
        elif not there & set(programs[name]):
            found[name] = f"{programs[name][0]} is not installed"
    return found


def image(suite: str) -> set[str]:
    lines = (DEBIAN / f"{suite}-image").read_text().splitlines()
    return {line for line in lines if not line.startswith("#")}


def installed(suite: str, roles: Iterable[str]) -> set[str]:
    brought = {
        package for role in roles for package in called.packages_of(PROJECT / "roles" / role, VERSIONS)
    }
    return image(suite) | set(NEEDED.values()) | brought


@pytest.mark.parametrize("kind", list(MACHINES))
@pytest.mark.parametrize("suite", list(SUITES))
def test_every_program_that_is_called_is_there(suite: str, kind: str) -> None:
    roles = MACHINES[kind]
    known = calls()
    names = {
        name for where, found in known.items() if where in roles or where not in folders() for name in found
    }
    names |= {name for module in modules() for name in BY_MODULE[module]}
    if kind != "node with a GPU":
        names -= known["nvidia"]
    if kind == "object store":
        names -= {"/usr/bin/java", "class_archives.py: one"}  # of nodes alone
    assert missing(names, table(suite), installed(suite, roles)) == {}


def folders() -> set[str]:
    return {role.name for role in (PROJECT / "roles").iterdir()}


def modules() -> set[str]:
    return {name.rpartition(".")[2] for name in called.modules()} - HERE


def test_every_role_and_every_module_is_looked_at() -> None:
    assert {role for roles in MACHINES.values() for role in roles} == folders()
    assert modules() <= set(BY_MODULE), "say which programs it calls"


def test_everything_is_for_the_same_suites() -> None:
    assert set(SUITES) == {bootstrap.SUITE}
    roles = PROJECT / "roles"
    assert yaml.safe_load((roles / "base/defaults/main.yml").read_text())["base_suite"] in SUITES
    sources = (roles / "nvidia/templates/install/muster-nvidia.sources.j2").read_text()
    named = [line.split()[1:] for line in sources.splitlines() if line.startswith("Suites:")]
    assert {word.partition("-")[0] for words in named for word in words} == set(SUITES)
    assert set(SUITES.values()) == {RELEASE}


@pytest.mark.parametrize("suite", list(SUITES))
def test_what_is_needed_is_what_the_official_image_lacks_and_more(suite: str) -> None:
    """Without that list a machine of a cloud could not be installed, and would be open to everybody."""
    lacking = set(NEEDED.values()) - image(suite)
    assert lacking == {"nftables", "python3-venv", "rsync", "acl"}
    assert {"iptables", "openssh-server", "cloud-init", "python3", "sudo"} <= image(suite)
    programs = table(suite)
    assert {
        path: package for path, package in NEEDED.items() if programs.get(path, [package])[0] != package
    } == {}


def test_a_new_call_is_found() -> None:
    script = """\
    shut() { echo; }
    shut && wget -q "$(hostname -f)" | tee x || exec nice -n 5 jq .
    for x in a b; do [ ! -e x ] || timeout 3 lsof; done   # not this
    case $x in here) strace ;; *) exit ;; esac
    cat > x <<'E'
    nothing
    E
    """
    assert set(called.of_shell(script)) == {
        *("wget", "hostname", "tee", "nice", "jq", "timeout", "lsof", "strace", "cat"),
    }
    unit = "[Service]\nExecStartPre=-/usr/bin/first x\nExecStart=/bin/sh -c 'second; third'\n"
    assert list(called.of_unit(unit)) == ["/usr/bin/first", "/bin/sh", "second", "third"]
    told = {"ansible.builtin.command": {"argv": ["lspci", "/usr/bin/timeout", "-v"]}}
    assert list(called.of_tasks([{"name": "x", "block": [told]}])) == ["lspci", "/usr/bin/timeout"]
    assert missing(["lspci"], {"lspci": ["pciutils"]}, ["acl"]) == {"lspci": "pciutils is not installed"}
