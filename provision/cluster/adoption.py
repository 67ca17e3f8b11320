"""Making the state folder of a cluster anew, from what its provider and its machines know.

Host keys come from labels that Muster wrote when it pinned them, over the provider's own API; no key is ever
trusted on first use. The journal is written last and in one step: before that, nothing was adopted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from muster_node.tracking.settings import FILE as TRACKING
from provision.cluster.carry_out import carry_out
from provision.cluster.orders import Orders
from provision.cluster.run import Run
from provision.core import files, z85
from provision.core.errors import ConfigError, NotReady, Unreachable
from provision.core.model import ClusterIdentity, Machine, NodeState, Plan
from provision.core.names import DEADLINE_LABEL, LOGIN_USER, MASTER, NODE_GROUPS, OWNER_LABEL
from provision.core.paths import owner_mark
from provision.core.spec import ClusterSpec, Scale
from provision.core.untrusted import parse_json
from provision.costs.books import Books
from provision.data.stores.keys import StoreKeys, door, record
from provision.planning.nodes import wish_of
from provision.providers.base import Provider
from provision.ssh import access, firewall, hostkey
from provision.ssh.files import ssh_config
from provision.state.folder import Snapshot, Target
from provision.state.journal import wish_record

_CONNECT_S = 20.0
_READ_S = 30.0
_SECRET = re.compile(r"^spark\.authenticate\.secret ([0-9a-f]{64})$", re.MULTILINE)
_PARTS = {
    "keys": f"{access.KEYS}/{LOGIN_USER}",
    "spark": "/etc/spark/daemons.conf",
    "store": "/etc/muster/store.json",
    "engines": "/etc/muster/engines.json",
    "jobs": "/etc/muster/jobs.json",
    "allow": firewall.PATH,
    "tracking": str(TRACKING),
}


@dataclass(frozen=True)
class Remembered:
    """What the machines know that the state folder held; empty where they do not (yet)."""

    keys: tuple[str, ...] = ()
    spark: str = field(default="", repr=False)
    engines: str = field(default="", repr=False)
    store: StoreKeys | None = None
    image_size: int = 0
    admitted: tuple[str, ...] = ()
    tracking: str = field(default="", repr=False)


Reader = Callable[[Target, Path], Remembered]
Found = Mapping[str, Sequence[Machine]]
"""Machines by the name of their provider."""
_THERE = (NodeState.PENDING, NodeState.RUNNING, NodeState.STOPPED)


def require_access(spec: ClusterSpec, key_file: Path) -> None:
    """Raise unless a private key belongs to a public one in `access`.

    Raises:
        ConfigError: it is not in the config file.
        NotReady: the key cannot be used.
    """
    if _public_key(key_file) not in {access.bare(key) for key in spec.access.values()}:
        raise ConfigError(
            file=spec.path,
            key="access",
            what=f"the key {key_file}.pub is not in it",
            remedy="Give another key with --key, or let somebody who has access run ./muster access add",
        )


def find(spec: ClusterSpec, provider: Callable[[str], Provider], id: str) -> tuple[ClusterIdentity, Found]:
    """Return which cluster a config file means, and its machines.

    Args:
        spec: the config, which names the cluster.
        provider: returns a provider by name.
        id: which one, when several have this name; else ''.

    Raises:
        NotReady: there is none, several, or one whose machines nobody can tell from others.
        ProviderError: a provider cannot be asked.
    """
    by_id: dict[str, dict[str, list[Machine]]] = {}
    for name in sorted({group.provider for group in spec.groups}):
        for machine in provider(name).everything():
            known = machine.labels.get("cluster_id", "")
            named = machine.labels.get("cluster") == spec.name and id in ("", known)
            if named and machine.state in _THERE:
                by_id.setdefault(known, {}).setdefault(name, []).append(machine)
    if not by_id:
        raise NotReady(
            where=spec.name, what="no machines of this cluster were found", remedy="See ./muster list"
        )
    if len(by_id) > 1:
        raise NotReady(
            where=spec.name,
            what=f"there are {len(by_id)} clusters of this name: {', '.join(sorted(by_id))}",
            remedy="Say which with --id",
        )
    found_id, found = next(iter(by_id.items()))
    unknown = sorted(m.name for machines in found.values() for m in machines if not hostkey.of(m))
    if unknown:
        raise NotReady(
            where=", ".join(unknown),
            what="their host keys are in no label, so nobody can tell these machines from others",
            remedy="Run start_cluster.yml where the cluster's state is, or delete them at the provider",
        )
    return ClusterIdentity(spec.name, found_id), found


def rebuild_state(run: Run, found: Found, key_file: Path, read: Reader) -> None:
    """Fill the state folder; the journal comes last, and then the cluster is ours.

    Args:
        run: this verb's.
        found: the cluster's machines.
        key_file: the private key that may log in; the state folder links to it.
        read: reads files of the master.

    Raises:
        HostKeyMismatch, Unreachable: nothing was adopted.
    """
    machines = [machine for group in found.values() for machine in group]
    master = next((m for m in machines if m.group == MASTER and m.state is NodeState.RUNNING), None)
    remembered = Remembered()
    if master is not None:
        remembered = read(Target(master.name, master.ssh_address, hostkey.of(master)), key_file)
    _fill(run, key_file, remembered)
    store = run.spec.object_store
    run.state.journal.rebuild(
        [
            {"kind": "cluster", "id": run.identity.id},
            wish_record(*_wish(machines)),
            *_term(machines),
            *([{"kind": "store", "name": store.name}] if store.here else []),
            {"kind": "bill", "bills": _bills(run, found)},
            *({"kind": "pin", "machine": m.provider_id, "key": hostkey.of(m)} for m in machines),
        ]
    )


def finish(run: Run) -> None:
    """Reach the machines, open the store, write what the inventory needs; again is harmless.

    Stopped machines stay stopped, and the state says that it is not complete. Raises MusterError.
    """
    run.state.begin(run.identity)
    orders = Orders(run)
    machines = orders.machines()
    mark = owner_mark(run.state.parent)  # or else `reap` of the checkout that lost it would end it
    others = [machine for machine in machines if machine.labels.get(OWNER_LABEL) != mark]
    orders.label(others, {OWNER_LABEL: mark})
    if all(machine.state is NodeState.RUNNING for machine in machines):
        run.stores.check(run.spec, run.state)
        store_image = run.stores.prepare(run.spec)
        carry_out(run, orders, Plan(keep=tuple(machines)), images={}, store_image=store_image)
    else:
        run.state.save(Snapshot(tuple(machines), None, complete=False))
        ssh_config(run.state)


def _fill(run: Run, key_file: Path, remembered: Remembered) -> None:
    """Write all of the state folder but the journal."""
    from provision.ssh.keys import ensure_login_key

    state = run.state
    state.make_folder()
    state.key_file.unlink(missing_ok=True)
    state.key_file.symlink_to(key_file.resolve())
    ensure_login_key(state.key_file, access.control_comment(state.cluster))
    files.write(state.control_keys, "".join(f"{key}\n" for key in remembered.keys))
    files.private_folder(state.secrets)
    for name, secret in (
        ("spark", remembered.spark),
        ("engines", remembered.engines),
        ("tracking", remembered.tracking),
    ):
        if secret:
            files.write(state.secrets / name, secret)
    if remembered.store:
        record(state.secrets, replace(remembered.store, opens=door(run.spec.object_store)))
    state.admit(remembered.admitted)
    if remembered.image_size:
        state.remember_image_size(remembered.image_size)


def _bills(run: Run, found: Found) -> list[dict[str, Any]]:
    """Return what the machines have cost since they were made, at today's price."""
    books = Books(run.spec, run.state.journal, run.provider)
    groups = {group.name: group for group in run.spec.groups}
    known = [machine for members in found.values() for machine in members if machine.group in groups]
    return [bill for machine in known for bill in books.bills(groups[machine.group], [machine])]


def _public_key(key_file: Path) -> str:
    """Return `TYPE BASE64` of a private key. Raises NotReady when it cannot be used."""
    from cryptography.hazmat.primitives import serialization  # slow to import

    what = ""
    try:
        key = serialization.load_ssh_private_key(key_file.read_bytes(), password=None)
        text = key.public_key().public_bytes(
            serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
        )
        if text.startswith(b"ssh-ed25519 "):
            return access.bare(text.decode())
        what = "only Ed25519 keys can be used"
    except FileNotFoundError:
        what = "there is no such key"
    except (OSError, ValueError, TypeError) as error:
        what = f"this key cannot be used without a passphrase or agent ({error})"
    raise NotReady(
        where=str(key_file),
        what=what,
        remedy="Name another one with --key; ssh-keygen -t ed25519 -N '' -f FILE makes one",
    )


def _wish(machines: list[Machine]) -> tuple[int, Scale]:
    """Return what was wished last; without a size, how many machines the wish would count."""
    masters = [wish_of(machine.labels) for machine in machines if machine.group == MASTER]
    nodes, scale = masters[0] if masters else (None, Scale())
    return nodes or max(1, sum(machine.group in NODE_GROUPS for machine in machines)), scale


def _term(machines: list[Machine]) -> list[dict[str, Any]]:
    """Return the record of the deadline that the machines were told; none when they do not end."""
    deadlines = [float(machine.labels.get(DEADLINE_LABEL) or 0) for machine in machines]
    if not any(deadlines):
        return []
    return [{"kind": "term", "deadline": max(deadlines), "spent": 0.0, "hourly": 0.0, "pending": ""}]


def read_master(target: Target, key_file: Path) -> Remembered:
    """Read over SSH what the master remembers. Raises HostKeyMismatch, Unreachable."""
    from paramiko import SSHException  # slow to import

    from provision.ssh import connection

    command = "; ".join(
        f"printf '\\0{name}\\0'; sudo cat {path} 2>/dev/null" for name, path in _PARTS.items()
    )
    transport = connection.connect(target, key_file, user=LOGIN_USER, deadline_s=_CONNECT_S)
    try:
        _, output, _ = connection.execute(transport, command, timeout_s=_READ_S)
    except (OSError, EOFError, SSHException) as error:
        raise Unreachable(
            machines=[target.name], what=f"the SSH connection broke ({error})", remedy="Run adopt again"
        ) from error
    finally:
        transport.close()
    return parse(output)


def parse(output: str) -> Remembered:
    """Return what the master's files say: NAME and content in turns, each after a NUL."""
    words = output.split("\0")
    parts = dict(zip(words[1::2], words[2::2], strict=False))
    secret = _SECRET.search(parts.get("spark", ""))
    return Remembered(
        keys=tuple(
            line
            for line in parts.get("keys", "").splitlines()
            if line.strip() and not re.search(r" access:\S+$", line)
        ),
        spark=secret[1] if secret else "",
        engines=_engines(parts.get("engines", "")),
        store=_store(parts.get("store", "")),
        image_size=_image_size(parts.get("jobs", "")),
        admitted=firewall.networks_of(parts.get("allow", "")),
        tracking=_password(parts.get("tracking", "")),
    )


def _password(text: str) -> str:
    """Return the password in the settings of MLflow (roles/tracking), '' when there is none."""
    known = parse_json(text)
    found = known.get("password") if isinstance(known, dict) else ""
    return found if isinstance(found, str) and found.isalnum() else ""


def _store(text: str) -> StoreKeys | None:
    """Return the keys in the settings of the staging program (roles/dataset), None when there are none.

    Keys that end by themselves count as none: this checkout asks for its own.
    """
    try:
        known = json.loads(text)
        if known.get("session_token"):
            return None
        return StoreKeys(str(known["access_key"]), str(known["secret_key"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _engines(text: str) -> str:
    """Return the secret in the settings of the engines' controller (roles/engines), '' when there is none."""
    try:
        found = z85.decode(str(json.loads(text)["secret"])).hex()
    except (ValueError, KeyError, TypeError):
        return ""
    return found if len(found) == 64 else ""


def _image_size(text: str) -> int:
    """Return the size in the settings of the queue of jobs (roles/jobs), 0 when there is none."""
    try:
        return int(json.loads(text)["env"]["MUSTER_IMAGE_SIZE"])
    except (ValueError, KeyError, TypeError):
        return 0
