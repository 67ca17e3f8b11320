"""What a config file asks for: a cluster, its groups, store and data. All types are frozen."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self, TypeVar

from provision.core.names import EXPERIMENT, NODE_GROUPS

_SHAPE = re.compile(r"([1-9][0-9]{0,3})x([0-9]{1,5}(?:\.[0-9]{1,2})?)")
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


@dataclass(frozen=True)
class Scale:
    """What is wished beside the number of nodes; None = what the config file says.

    `cores` and `memory_gb` are those of master and workers, `machines` how many there are for experiments.
    """

    cores: int | None = None
    memory_gb: float | None = None
    machines: int | None = None

    def __bool__(self) -> bool:
        return self.cores is not None or self.memory_gb is not None

    def over(self, other: Scale) -> Scale:
        """Return this wish, and what it leaves open as in another one."""
        return replace(other, **{name: value for name, value in vars(self).items() if value is not None})


AS_IN_FILE = Scale()
"""Nothing was wished of machines."""


@dataclass(frozen=True)
class Shape:
    """What one machine has: processors, and GiB of memory; people write `8x16`."""

    cores: int
    memory_gb: float

    def __str__(self) -> str:
        return f"{self.cores}x{self.memory_gb:g}"

    @classmethod
    def parse(cls, text: str) -> Shape:
        """Return the shape that `8x16` or `2x1.5` means. Raises ValueError, in one line."""
        if not (match := _SHAPE.fullmatch(text.strip().lower())):
            raise ValueError(f"{text!r} is no shape of a machine; write CORESxGIB, such as 8x16")
        return cls(int(match[1]), float(match[2]))


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

    @property
    def shape_labels(self) -> dict[str, str]:
        """What labels of a machine say of its processors and memory."""
        return {"cores": str(self.cores), "memory_gb": f"{self.memory_gb:g}"}


FOLDER_PORT = 18080
"""Port on a node's loopback from which connections lead to a store that is a folder."""


@dataclass(frozen=True)
class ObjectStoreSpec:
    """Where the data lives that outlives clusters. `kind`: local, none, s3, swift or folder (at `path`).

    `endpoint` is '' for Amazon's own S3 in `region`, of Swift the URL of its auth service. `credentials`:
    keys (given in the vault, or lent by Amazon) or role (that of each machine). `auth_version` is Swift's: 1,
    or 3 = Keystone, whose keys are a user's of `project`, or without one an application credential's.
    """

    kind: str = "local"
    name: str = "default"
    container: str = "muster"
    endpoint: str = ""
    region: str = "us-east-1"
    credentials: str = "keys"
    path: str = ""
    auth_version: int = 1
    project: str = ""
    user_domain: str = "Default"
    project_domain: str = "Default"

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
FASHION = "fashion-mnist"
"""The same of Debian's package of pictures of clothes, which one node installs."""
BUILT_IN = {DIGITS: "scikit-learn's scans", FASHION: "Debian's Fashion-MNIST"}


@dataclass(frozen=True)
class Preparation:
    """How images become rows: the options of jobs/preprocess, by the names that they have there.

    Attributes:
        kind: `plain` or `eye`, what a picture is taken for; '' = what ingest was told, else `plain`.
        augment: whether the training part also has each picture turned and mirrored.
        masters: whether intermediates are kept, of which other sizes can be made later.
        formats: of `csv`, `parquet`.
        channels: 1 grey, 3 colour.
        multi_label: whether an image may have several labels.
        subject: pattern whose first group is the subject of an image; '' = both eyes of one.
        sample: share of the images that is used, above 0, at most 1.
        balance: `none`, `weights` or `subsample`, against classes of unlike size.
    """

    kind: str = ""
    augment: bool = False
    masters: bool = False
    formats: tuple[str, ...] = ("csv", "parquet")
    channels: int = 1
    multi_label: bool = False
    subject: str = ""
    sample: float = 1.0
    balance: str = "none"


@dataclass(frozen=True)
class DatasetSpec:
    """What is analysed.

    Attributes:
        source: one of BUILT_IN or a folder of images; '' = what `ingest` has brought in under this name.
        name: what it is called in the object store.
        labels: the folder's CSV file, relative to it; '' = it is found.
        multi_label: whether an image may have several labels.
        on_bad_labels: what rows that cannot be used lead to: `stop` or `drop`.
        sizes: what is made in one pass together with the size that is asked for.
        preparation: how images become rows.
    """

    source: str = DIGITS
    name: str = DIGITS
    labels: str = ""
    multi_label: bool = False
    on_bad_labels: str = "stop"
    sizes: tuple[int, ...] = ()
    preparation: Preparation = Preparation()


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
    `scale` is what was wished of machines; `groups` have it already.
    `blocks` are the file's blocks of what only one provider reads (see `block`).
    `features` are names of what is switched on, see core/features.py.
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
    scale: Scale = AS_IN_FILE
    features: tuple[str, ...] = ()

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

    @property
    def scaled_groups(self) -> tuple[NodeGroup, ...]:
        """The groups whose machines a `Scale` means: master and workers."""
        return tuple(group for group in self.groups if group.name in NODE_GROUPS)

    def scaled(self, scale: Scale) -> ClusterSpec:
        """Return the same cluster with machines as wished, where that was not wished already."""
        wish = self.scale.over(scale)
        shape: dict[str, Any] = {"cores": wish.cores, "memory_gb": wish.memory_gb}
        wanted = {group.name: shape for group in self.scaled_groups} | {EXPERIMENT: {"count": wish.machines}}
        groups = tuple(
            replace(group, **{name: value for name, value in keys.items() if value is not None})
            if (keys := wanted.get(group.name))
            else group
            for group in self.groups
        )
        return replace(self, groups=groups, scale=wish)

    def wished(self, last: int | None, scale: Scale = AS_IN_FILE) -> ClusterSpec:
        """Return the same cluster as wished now, else as wished last, else as in the file.

        Args:
            last: the size wished last; None = none was.
            scale: what was wished last of machines.
        """
        sized = self if self.nodes_given or last is None else self.sized(last)
        return sized.scaled(scale)

    def size(self, group: NodeGroup) -> int:
        """Return how many machines a group has."""
        return self.nodes - 1 if group.count is None else group.count

    def group(self, name: str) -> NodeGroup:
        """Return the group `name`. Raises KeyError when there is none."""
        for group in self.groups:
            if group.name == name:
                return group
        raise KeyError(name)
