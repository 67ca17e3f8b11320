"""The keys of a config file, as pydantic models. Unknown keys are errors; nothing is converted silently."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self, Union

from pydantic import (
    Discriminator,
    Field,
    Tag,
    create_model,
    field_validator,
    model_validator,
)

from muster_node import subjects
from muster_node.labels.reading import DROP, STOP
from muster_node.sets import BALANCES, SIZES
from provision.config.object_store import ObjectStoreModel
from provision.core.features import FEATURES
from provision.core.names import EXPERIMENT, MASTER, WORKER
from provision.core.networks import network
from provision.core.schema import Model, SettingsModel, Span, wrong
from provision.providers import CLASSES, DEFAULT
from provision.providers.facts import facts_of

MACHINE_NAME_LIMIT = 41
"""Characters a machine's name may have; the local provider's folders and bridges rely on it."""

_HOST_NAME = re.compile(r"[a-z]([a-z0-9-]{0,28}[a-z0-9])?")
_GROUP_NAME = re.compile(r"[a-z][a-z0-9_]{0,14}")
_USER_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_PUBLIC_KEY = re.compile(
    r"(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)|sk-ssh-ed25519@openssh\.com|"
    r"sk-ecdsa-sha2-nistp256@openssh\.com) [A-Za-z0-9+/]{40,}={0,3}( .*)?"
)
_RESERVED_GROUPS = frozenset(
    {
        "all",
        "cluster",
        "data_folder",
        "datanode",
        "deep_learning",
        "engines",
        "history_server",
        "localhost",
        "namenode",
        "object_store",
        *FEATURES,
        "spark_master",
        "spark_worker",
        "ungrouped",
        "uninstalled",
    }
)
_RESERVED_USERS = frozenset(["root", "muster", "hdfs", "spark", "hadoop", "daemon", "nobody"])
_RESERVED_CLUSTERS = frozenset({"object-store", "localhost"})


def known_provider(value: str) -> str:
    """Return `value`. Raises when it names no provider."""
    if value not in CLASSES:
        raise wrong(f"unknown provider {value!r}", f"Known: {', '.join(CLASSES)}")
    return value


class PackagesModel(Model):
    """Additional packages."""

    apt: list[str] = []
    pip: list[str] = []

    @field_validator("apt")
    @classmethod
    def _apt(cls, value: list[str]) -> list[str]:
        for name in value:
            if not re.fullmatch(r"[a-z0-9][a-z0-9+.-]+(=[A-Za-z0-9.+:~-]+)?", name):
                raise wrong(f"{name!r} is no Debian package name", "Write it as in `apt install NAME`")
        return value

    @field_validator("pip")
    @classmethod
    def _pip(cls, value: list[str]) -> list[str]:
        for name in value:
            if not re.fullmatch(
                r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9,._-]+\])?([=<>!~][=<>!~A-Za-z0-9.,* ]+)?", name
            ):
                raise wrong(
                    f"{name!r} is no Python requirement", "Write it as in `pip install NAME==VERSION`"
                )
        return value


class GroupModel(Model):
    """One group of equal machines: the keys that every provider knows. See GROUPS."""

    count: Annotated[int, Field(ge=0, le=1000)] | None = None
    provider: str = ""
    cores: Annotated[int, Field(ge=1, le=512)] = 2
    memory_gb: Annotated[float, Field(ge=1, le=4096)] = 2
    data_disk_gb: Annotated[int, Field(ge=0, le=65536)] = 100
    deep_learning: bool = True
    packages: PackagesModel = PackagesModel()
    setup: str = ""

    @field_validator("provider")
    @classmethod
    def _provider(cls, value: str) -> str:
        return known_provider(value)


class DatasetModel(Model):
    """What is analysed: a built-in set, or a folder of images with a labels CSV; and how it is prepared."""

    source: Annotated[str, Field(min_length=1)] | None = None
    name: str = ""
    labels: str = ""
    multi_label: bool = False
    on_bad_labels: str = STOP
    subject: str = ""
    sample: Annotated[float, Field(gt=0, le=1)] = 1.0
    balance: str = BALANCES[0]
    kind: Literal["plain", "eye"] | None = None
    sizes: list[int] = []
    formats: Annotated[list[Literal["csv", "parquet"]], Field(min_length=1)] = ["csv", "parquet"]
    channels: Literal["grey", "rgb"] | None = None
    masters: bool = False
    augment: bool = False

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        if value and not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,40}", value):
            raise wrong(f"{value!r} cannot be the name of a data set", "Use a-z, 0-9 and -")
        return value

    @field_validator("sizes")
    @classmethod
    def _sizes(cls, value: list[int]) -> list[int]:
        if odd := [size for size in value if size not in SIZES]:
            raise wrong(
                f"no pictures of {odd[0]} pixels a side are made", f"Use {', '.join(map(str, SIZES))}"
            )
        return sorted(set(value))

    @field_validator("on_bad_labels")
    @classmethod
    def _on_bad_labels(cls, value: str) -> str:
        return _one_of(value, (STOP, DROP))

    @field_validator("subject")
    @classmethod
    def _subject(cls, value: str) -> str:
        try:
            subjects.require_pattern(value)
        except subjects.BadPattern as error:
            raise wrong(
                str(error), "Write it like '(.+)_(left|right)': the first group is the subject"
            ) from None
        return value

    @field_validator("balance")
    @classmethod
    def _balance(cls, value: str) -> str:
        return _one_of(value, BALANCES)


def _one_of(value: str, known: Sequence[str]) -> str:
    if value not in known:
        raise wrong(f"is {value!r}", f"Known: {', '.join(known)}")
    return value


class BudgetModel(Model):
    """Money that the cluster may cost, in US dollars."""

    max_hourly: Annotated[float, Field(gt=0)] | None = None
    total: Annotated[float, Field(gt=0)] | None = None


class DeadlinesModel(Model):
    """Seconds after which waiting ends; the defaults are in provision/providers/facts.py."""

    boot: Annotated[float, Field(gt=0)] | None = None
    settle: Annotated[float, Field(ge=0)] | None = None


def _bases(provider: str) -> Any:  # noqa: ANN401  (create_model wants all bases to be of one type)
    return GroupModel, facts_of(provider).group


GROUPS: dict[str, type[GroupModel]] = {
    name: create_model(f"{name}_group", __base__=_bases(name)) for name in CLASSES
}
"""A group's keys by its provider: those of every group, and those that only this provider knows."""


class ConfigBase(Model):
    """The top level of a config file, without what the providers add to it. See ConfigFile."""

    plugin: str
    cluster: str
    provider: str = DEFAULT
    nodes: Annotated[int, Field(ge=1, le=1000)] = 3
    groups: dict[str, GroupModel] = {}
    object_store: ObjectStoreModel = ObjectStoreModel()
    dataset: DatasetModel = DatasetModel()
    features: list[str] = []
    packages: PackagesModel = PackagesModel()
    setup: str = ""
    access: dict[str, str] = {}
    allow_from: list[str] = []
    ttl: Span = ""
    autostop: Span = ""
    budget: BudgetModel = BudgetModel()
    wait_for_capacity: Span = ""
    deadlines: DeadlinesModel = DeadlinesModel()

    @field_validator("plugin")
    @classmethod
    def _plugin(cls, value: str) -> str:
        if value != "cluster":
            raise wrong(f"is {value!r}", "Write `plugin: cluster`")
        return value

    @field_validator("cluster")
    @classmethod
    def _cluster(cls, value: str) -> str:
        if not _HOST_NAME.fullmatch(value):
            raise wrong(
                f"{value!r} cannot be part of a host name",
                "Use a-z, 0-9 and -, begin with a letter, at most 30 characters",
            )
        if value in _RESERVED_CLUSTERS:
            raise wrong(f"the name {value!r} is reserved", "Choose another one")
        return value

    @field_validator("provider")
    @classmethod
    def _provider(cls, value: str) -> str:
        return known_provider(value)

    @field_validator("features")
    @classmethod
    def _features(cls, value: list[str]) -> list[str]:
        for name in value:
            _one_of(name, tuple(FEATURES))
        return [name for name in FEATURES if name in value]

    @field_validator("allow_from")
    @classmethod
    def _allow_from(cls, value: list[str]) -> list[str]:
        try:
            return [network(entry) for entry in value]
        except ValueError as error:
            raise wrong(*str(error).split(". ", 1)) from None

    @field_validator("groups")
    @classmethod
    def _groups(cls, value: dict[str, GroupModel]) -> dict[str, GroupModel]:
        for name, group in value.items():
            if not _GROUP_NAME.fullmatch(name):
                raise wrong(
                    f"{name!r} cannot be the name of a group", "Use a-z, 0-9 and _, at most 15 characters"
                )
            if name in _RESERVED_GROUPS:
                raise wrong(f"the group name {name!r} is reserved", "Choose another one, for example `gpu`")
            if name == "worker" and group.count is not None:
                raise wrong("the group worker takes no `count`", "Set `nodes`, which counts master + workers")
            if name == "master" and group.count not in (None, 1):
                raise wrong("there is exactly one master", "Leave its `count` out")
            if name == EXPERIMENT and group.count is not None:
                raise wrong(
                    f"the group {EXPERIMENT} takes no `count`",
                    "Leave it out: ./muster experiments decides it",
                )
            if name not in (MASTER, WORKER, EXPERIMENT) and group.count is None:
                raise wrong(f"the group {name!r} has no `count`", "Say how many machines it has")
        return value

    @field_validator("access")
    @classmethod
    def _access(cls, value: dict[str, str]) -> dict[str, str]:
        for user, key in value.items():
            if not _USER_NAME.fullmatch(user) or user in _RESERVED_USERS:
                raise wrong(f"{user!r} cannot be a user's name here", "Use the person's own login name")
            if "PRIVATE KEY" in key:
                raise wrong(
                    f"that is the private key of {user}", "Give the public one (the file ending in .pub)"
                )
            if not _PUBLIC_KEY.fullmatch(key.strip()):
                raise wrong(
                    f"no SSH public key for {user}", "Give one line that begins with, e.g., ssh-ed25519"
                )
        return value

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, data: Any) -> Any:  # noqa: ANN401  (whatever the file holds)
        """Treat a key without a value (`setup:`) as not given; say where each group is."""
        if not isinstance(data, dict):
            return data
        given = {key: value for key, value in data.items() if value is not None}
        groups, home = given.get("groups"), given.get("provider", DEFAULT)
        if isinstance(groups, dict):
            given["groups"] = {
                name: {**group, "provider": group.get("provider") or home}
                if isinstance(group, dict)
                else group
                for name, group in groups.items()
            }
        return given

    @model_validator(mode="after")
    def _machine_names(self) -> Self:
        for name in self.groups:
            if len(f"{self.cluster}-{name}-{self.nodes}") > MACHINE_NAME_LIMIT:
                raise wrong(
                    f"machines of {self.cluster!r} in group {name!r} would have names of more than "
                    f"{MACHINE_NAME_LIMIT} characters",
                    "Choose a shorter name",
                )
        return self

    def groups_in_order(self) -> dict[str, GroupModel]:
        """Return the groups in file order, with a master first and a worker group even when not mentioned."""
        groups, plain = dict(self.groups), GROUPS[self.provider]
        master = groups.pop("master", None) or plain(provider=self.provider, memory_gb=3)
        groups.setdefault("worker", plain(provider=self.provider))
        return {"master": master, **groups}

    def block(self, provider: str) -> SettingsModel | None:
        """Return the file's block of a provider, None when this provider has none."""
        return getattr(self, provider, None)

    def blocks(self) -> tuple[SettingsModel, ...]:
        """Return the file's blocks of all providers that have one."""
        return tuple(block for name in CLASSES if (block := self.block(name)))


def _provider_of(group: Any) -> str:  # noqa: ANN401  (whatever the file holds)
    """Return whose keys a group may have; of an unknown provider or no mapping something else is said."""
    named = group.get("provider") if isinstance(group, dict) else getattr(group, "provider", DEFAULT)
    return named if isinstance(named, str) and named in CLASSES else DEFAULT


_GROUP: Any = Annotated[
    Union[tuple(Annotated[model, Tag(name)] for name, model in GROUPS.items())],  # noqa: UP007  (made at run time)
    Discriminator(_provider_of),
]
_BLOCKS: Any = {name: (kind, kind()) for name in CLASSES if (kind := facts_of(name).block)}
ConfigFile: type[ConfigBase] = create_model(
    "ConfigFile", __base__=ConfigBase, groups=(dict[str, _GROUP], {}), **_BLOCKS
)
"""The top level of a config file."""
