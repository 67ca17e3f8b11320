"""What a config file asks for: a cluster, its groups, store and data. All types are frozen."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self, TypeVar

_DURATION = re.compile(r"([1-9][0-9]*)(m|h|d)")


@dataclass(frozen=True)
class Duration:
    """A span of time as people write it, such as `90m`, `8h` or `2d`; '' is none. Raises ValueError."""

    text: str = ""

    def __post_init__(self) -> None:
        if self.text and not _DURATION.fullmatch(self.text):
            raise ValueError(f"{self.text!r} is no duration")

    def __bool__(self) -> bool:
        return bool(self.text)

    def __str__(self) -> str:
        return self.text

    @property
    def minutes(self) -> int:
        """How many minutes it is; 0 for none."""
        match = _DURATION.fullmatch(self.text)
        return int(match[1]) * {"m": 1, "h": 60, "d": 1440}[match[2]] if match else 0

    @property
    def seconds(self) -> int:
        """How many seconds it is; 0 for none."""
        return 60 * self.minutes


class ProviderSettings:
    """What only one provider reads of a config file. Its own folder has the classes; see `SettingsModel`."""

    def as_json(self) -> dict[str, Any]:
        """Return all of it as what JSON can hold."""
        return {}

    @classmethod
    def of(cls, group: NodeGroup) -> Self:
        """Return a group's settings, the defaults when it has none. Raises TypeError: another provider's."""
        if isinstance(group.settings, cls):
            return group.settings
        if type(group.settings) is not ProviderSettings:
            raise TypeError(f"groups.{group.name} has {type(group.settings).__name__}, not {cls.__name__}")
        return cls()


Block = TypeVar("Block", bound=ProviderSettings)


@dataclass(frozen=True)
class Packages:
    """Additional packages: Debian's (`apt`) and Python's (`pip`)."""

    apt: tuple[str, ...] = ()
    pip: tuple[str, ...] = ()


@dataclass(frozen=True)
class NodeGroup:
    """One group of equal machines. `count` is None where `nodes` decides (the group `worker`).

    Units: `memory_gb` GiB, `data_disk_gb` GB (0 = no data disk), `cores` processors.
    `settings` is what only its provider reads: the group's own keys (instance_type, spot, flavor …) over
    those of the provider's block.
    """

    name: str
    provider: str
    count: int | None
    cores: int
    memory_gb: float
    data_disk_gb: int
    settings: ProviderSettings = field(default_factory=ProviderSettings)
    deep_learning: bool = True
    packages: Packages = field(default_factory=Packages)
    setup: str = ""


FOLDER_PORT = 18080
"""Port on a node's loopback from which connections lead to a store that is a folder."""


@dataclass(frozen=True)
class ObjectStoreSpec:
    """Where the data lives that outlives clusters. `kind`: local, none, s3, swift or folder (at `path`).

    `endpoint` is '' for Amazon's own S3 in `region`, of Swift the URL of its auth service. `credentials`:
    keys (given in the vault, or those of the AWS tools) or role (that of each machine).
    """

    kind: str = "local"
    name: str = "default"
    container: str = "muster"
    endpoint: str = ""
    region: str = "us-east-1"
    credentials: str = "keys"
    path: str = ""

    @property
    def url(self) -> str:
        """The URL that nodes ask a store at that is no machine of ours; '' for the other kinds."""
        if self.kind == "folder":
            return f"http://127.0.0.1:{FOLDER_PORT}"
        if self.kind == "s3":
            return self.endpoint or f"https://s3.{self.region}.amazonaws.com"
        return self.endpoint

    @property
    def virtual_host(self) -> bool:
        """Whether the container is part of the host's name: Amazon's own S3 wants it so."""
        return self.kind == "s3" and not self.endpoint

    @property
    def here(self) -> bool:
        """Whether it is a machine of this computer."""
        return self.kind == "local"

    @property
    def elsewhere(self) -> bool:
        """Whether it is a store that others run, reached over the network."""
        return self.kind in ("s3", "swift")


DIGITS = "digits"
"""The source of a data set that needs no folder: scikit-learn's scans, which nodes have."""


@dataclass(frozen=True)
class DatasetSpec:
    """What is analysed. `source`: `digits` or a folder of images; `labels`: its CSV file, relative to it."""

    source: str = DIGITS
    name: str = DIGITS
    labels: str = ""


@dataclass(frozen=True)
class Budget:
    """US dollars that a cluster may cost: an hour, and in all; None = no limit."""

    max_hourly: float | None = None
    total: float | None = None


@dataclass(frozen=True)
class DeadlinesSpec:
    """Seconds that the file asks for instead of a provider's own; None = those. See `Deadlines`."""

    boot: float | None = None
    settle: float | None = None


@dataclass(frozen=True)
class ClusterSpec:
    """A validated config file.

    `nodes` counts master + workers; `nodes_given`: that was wished just now, and beats the last wish.
    `blocks` are the file's blocks of what only one provider reads (see `block`).
    """

    name: str
    provider: str
    nodes: int
    groups: tuple[NodeGroup, ...]
    object_store: ObjectStoreSpec
    dataset: DatasetSpec
    packages: Packages
    setup: str
    access: Mapping[str, str]
    path: Path
    allow_from: tuple[str, ...] = ()
    ttl: Duration = Duration()
    autostop: Duration = Duration()
    budget: Budget = Budget()
    wait_for_capacity: Duration = Duration()
    deadlines: DeadlinesSpec = DeadlinesSpec()
    blocks: tuple[ProviderSettings, ...] = ()
    nodes_given: bool = False

    @property
    def ends_by_itself(self) -> bool:
        """Whether machines power themselves off one day, and should be gone at their provider then."""
        return bool(self.ttl or self.autostop or self.budget.total)

    def block(self, kind: type[Block]) -> Block:
        """Return the file's block of this kind, its defaults when the file has none."""
        return next((block for block in self.blocks if isinstance(block, kind)), kind())

    def sized(self, nodes: int) -> ClusterSpec:
        """Return the same cluster with master + workers as wished."""
        return replace(self, nodes=nodes, nodes_given=True)

    def wished(self, last: int | None) -> ClusterSpec:
        """Return the same cluster in the size given now, else the size wished last, else the file's."""
        return self if self.nodes_given or last is None else self.sized(last)

    def size(self, group: NodeGroup) -> int:
        """Return how many machines a group has."""
        return self.nodes - 1 if group.count is None else group.count

    def group(self, name: str) -> NodeGroup:
        """Return the group `name`. Raises KeyError when there is none."""
        for group in self.groups:
            if group.name == name:
                return group
        raise KeyError(name)
