"""The folder in which one cluster's keys, journal, last known machines and reports lie."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from muster_node import sets
from provision.core import files
from provision.core.errors import StateError
from provision.core.model import ClusterIdentity, Machine, NodeState
from provision.core.names import STORE_HOST
from provision.state.journal import Journal, View

FORMAT = 1
SSH_CONFIG = "ssh_config"
SECRETS = ("spark", "engines")
"""What the daemons of a cluster know and nobody else, each made once; see `State.secret`."""
_GONE = ".gone-"


@dataclass(frozen=True)
class Target:
    """A machine to reach by SSH.

    `host_key`: `TYPE BASE64`, the only one that is accepted; `jump`: the host to go by (`ssh -J`; '' = none).
    """

    name: str
    address: str
    host_key: str
    jump: str = ""


@dataclass(frozen=True)
class Store:
    """The object store's machine as the inventory shows it (its credentials are in secrets/store.json)."""

    name: str
    address: str
    host_key: str
    image: str = ""

    @property
    def target(self) -> Target:
        """How to reach it."""
        return Target(STORE_HOST, self.address, self.host_key)


@dataclass(frozen=True)
class Snapshot:
    """What was known after the last command; the inventory is made from it without asking a provider."""

    machines: tuple[Machine, ...] = ()
    store: Store | None = None
    complete: bool = False
    """True when the last create or change ended well: every machine was there and reachable."""


def target_of(machine: Machine, host_key: str) -> Target:
    """Return how to reach a machine that shows this host key."""
    return Target(machine.name, machine.ssh_address, host_key, machine.labels.get("jump_host", ""))


class State:
    """One cluster's state folder, named like the cluster; making the object touches nothing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.parent = folder.parent
        self.cluster = folder.name
        self.journal = Journal(self.folder)
        self.key_file = self.folder / "id_ed25519"
        self.known_hosts = self.folder / "known_hosts"
        self.ssh_config = self.folder / SSH_CONFIG
        self.control_keys = self.folder / "control_keys"
        """Public keys of other checkouts that work on this cluster, read back from its machines."""
        self.secrets = self.folder / "secrets"
        self.reports = self.folder / "reports"
        self._snapshot = self.folder / "machines.json"
        self._admitted = self.folder / "admitted"
        self._master_admitted = self.folder / "master_admitted"
        self._image_size = self.folder / "image_size"

    def exists(self) -> bool:
        """Return True when the cluster was begun and not destroyed."""
        return self.journal.exists()

    def identity(self, view: View | None = None) -> ClusterIdentity | None:
        """Return the recorded identity, or None when there is no such cluster. Raises StateError."""
        view = view or self.journal.read()
        return ClusterIdentity(name=self.cluster, id=view.cluster_id) if view.cluster_id else None

    def new_identity(self) -> ClusterIdentity:
        """Return an identity that no cluster has; nothing is recorded."""
        return ClusterIdentity(name=self.cluster, id=secrets.token_hex(4))

    def begin(self, identity: ClusterIdentity) -> None:
        """Make the folder complete and record the identity, unless one is recorded already."""
        self.make_folder()
        if self.identity() is None:
            self.journal.begin(identity.id)
        for folder in (self.secrets, self.reports, self.folder / "log"):
            files.private_folder(folder)

    def make_folder(self) -> None:
        """Make the state folder itself, for the lease; nothing in it says that there is a cluster.

        Raises:
            NotReady: it is not ours alone.
        """
        files.private_folder(self.folder)

    def secret(self, name: str) -> str:
        """Return the cluster's secret `name`, made on first use: 64 hex digits."""
        path = self.secrets / name
        if not path.is_file():
            files.write(path, secrets.token_hex(32))
        return path.read_text(encoding="utf-8")

    def load(self) -> Snapshot:
        """Return the last snapshot (an empty one when there is none). Raises StateError."""
        try:
            data = json.loads(self._snapshot.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return Snapshot()
        except (OSError, ValueError) as error:
            raise self._damaged(str(error)) from error
        if data.get("format") != FORMAT:
            raise self._damaged(f"format {data.get('format')!r} instead of {FORMAT}")
        return Snapshot(
            machines=tuple(
                Machine(**{**entry, "state": NodeState(entry["state"])}) for entry in data["machines"]
            ),
            store=Store(**data["store"]) if data["store"] else None,
            complete=bool(data["complete"]),
        )

    def save(self, snapshot: Snapshot) -> None:
        """Replace the snapshot."""
        data = {
            "format": FORMAT,
            "machines": [asdict(machine) for machine in snapshot.machines],
            "store": asdict(snapshot.store) if snapshot.store else None,
            "complete": snapshot.complete,
        }
        files.write_if_changed(self._snapshot, json.dumps(data, indent=1, sort_keys=True) + "\n")

    def image_size(self) -> int:
        """Return the image size last asked for, in pixels a side; the default when none was."""
        try:
            return int(self._image_size.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return sets.DEFAULT_SIZE

    def remember_image_size(self, size: int) -> None:
        """Record the image size asked for."""
        files.write_if_changed(self._image_size, f"{size}\n")

    def admitted(self) -> tuple[str, ...]:
        """Return the networks from which SSH may reach the machines, besides the config's `allow_from`."""
        return _words(self._admitted)

    def admit(self, networks: Iterable[str], *, only: bool = False) -> None:
        """Record networks from which SSH may reach the machines; `only` these, or also those before."""
        known = dict.fromkeys((*(() if only else self.admitted()), *networks))
        files.write_if_changed(self._admitted, "".join(f"{one}\n" for one in known))

    def master_admitted(self) -> tuple[str, ...]:
        """Return the networks that firewalls at other sites were told to let in for the master's sake."""
        return _words(self._master_admitted)

    def admit_master(self, networks: Iterable[str]) -> None:
        """Record those networks, and no others."""
        files.write_if_changed(self._master_admitted, "".join(f"{one}\n" for one in networks))

    def targets(self) -> dict[str, Target]:
        """Return the machines whose own host key is pinned, by name; the store's is `object-store`."""
        snapshot, pins = self.load(), self.journal.read().pins
        found = {
            machine.name: target_of(machine, pins[machine.provider_id])
            for machine in snapshot.machines
            if machine.provider_id in pins and machine.ssh_address
        }
        if snapshot.store is not None:
            found[STORE_HOST] = snapshot.store.target
        return found

    def remove(self) -> None:
        """Remove the folder: first out of sight in one step, so that a crash leaves no half of it."""
        if self.folder.is_dir():
            self.folder.rename(self.parent / f"{_GONE}{self.cluster}-{secrets.token_hex(4)}")
        self.sweep()

    def reset(self, *, keep: str) -> None:
        """Empty the folder of a destroyed cluster but for the file `keep` (the lease that we hold).

        The journal goes last: with it, the next run knows that destroying was not finished.
        """
        for path in sorted(self.folder.iterdir(), key=lambda path: path == self.journal.path):
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != keep:
                path.unlink()

    def remove_if_blank(self) -> None:
        """Remove the folder of a cluster that was never begun (the first command was refused)."""
        if self.folder.is_dir() and not self.journal.exists():
            self.remove()

    def sweep(self) -> None:
        """Remove what earlier removals left when they were killed, and the parent folder when it is empty."""
        if not self.parent.is_dir():
            return
        for left in self.parent.glob(f"{_GONE}*"):
            shutil.rmtree(left, ignore_errors=True)
        if not any(self.parent.iterdir()):
            self.parent.rmdir()

    def _damaged(self, why: str) -> StateError:
        return StateError(
            where=str(self._snapshot),
            what=f"cannot be read ({why})",
            remedy="Remove this file and run start_cluster.yml, which asks the provider anew",
        )


def _words(path: Path) -> tuple[str, ...]:
    return tuple(path.read_text(encoding="utf-8").split()) if path.is_file() else ()


def known_clusters(states: Path) -> list[tuple[str, str]]:
    """Return name and id of every cluster whose state is here. Raises StateError."""
    folders = sorted(states.iterdir()) if states.is_dir() else []
    return [
        (folder.name, id)
        for folder in folders
        if folder.is_dir() and not folder.name.startswith(".") and (id := Journal(folder).read().cluster_id)
    ]
