"""What the NameNode and the Spark Master say on their pages."""

from __future__ import annotations

import http.client
import json
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

NAMENODE_PORT = 9870
MASTER_PORT = 8080
INFO_PAGE = "/jmx?qry=Hadoop:service=NameNode,name=NameNodeInfo"
# What holds now; its namesake FSNamesystem is a metric that lags by up to ten seconds.
STATE_PAGE = "/jmx?qry=Hadoop:service=NameNode,name=FSNamesystemState"
MASTER_PAGE = "/json/"
FSCK_PAGE = "/fsck?ugi=hdfs&path=%2F"
IN_SERVICE, DECOMMISSIONED = "In Service", "Decommissioned"
Found = TypeVar("Found")


def ask(url: str, timeout_s: float = 10) -> dict[str, Any]:
    """Return a page's JSON. Raises OSError while it cannot be had, ValueError when it is something else."""
    try:
        found = json.loads(_content(url, timeout_s))
    except RecursionError as error:
        raise ValueError(f"{url} answered something else than its daemon") from error
    if not isinstance(found, dict):
        raise ValueError(f"{url} answered a {type(found).__name__}")  # noqa: TRY004  as when it is no JSON
    return found


def _content(url: str, timeout_s: float) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as answer:  # noqa: S310  our own daemons
            return bytes(answer.read())
    except http.client.HTTPException as error:
        raise ValueError(f"{url} answered something else than its daemon") from error


def read(page: dict[str, Any], parse: Callable[[dict[str, Any]], Found]) -> Found:
    """Return what a page says. Raises ValueError when it is none of our daemons': a job may hold its port."""
    try:
        return parse(page)
    except (AttributeError, IndexError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError("a page of something else than its daemon") from error


def _bean(page: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = (page.get("beans") or [{}])[0]
    return found


@dataclass(frozen=True)
class DataNodes:
    """The DataNodes that live, by name and by address, and whether the NameNode is still in safe mode.

    `number`: of those listed. One that may no longer join is not, though it counts as living for a minute.
    """

    live: frozenset[str]
    safe_mode: bool
    number: int = 0

    @classmethod
    def parse(cls, page: dict[str, Any]) -> DataNodes:
        """Read INFO_PAGE."""
        bean = _bean(page)
        live: dict[str, Any] = json.loads(bean.get("LiveNodes") or "{}")
        names = {name.partition(":")[0] for name in live}
        addresses = {_address(node) for node in live.values()}
        known = frozenset((names | addresses) - {""})
        return cls(live=known, safe_mode=bool(bean.get("Safemode")), number=len(live))


@dataclass(frozen=True)
class Members:
    """What becomes of the DataNodes that live, by address, as the NameNode says.

    `to_copy`: blocks of those being decommissioned that are not on enough others yet; `dead`: for how many
    seconds those were not heard that have joined and do not live.
    """

    states: Mapping[str, str]
    to_copy: Mapping[str, int]
    dead: Mapping[str, float]
    safe_mode: bool

    @classmethod
    def parse(cls, page: dict[str, Any]) -> Members:
        """Read INFO_PAGE."""
        bean = page["beans"][0]
        live, dead, leaving = (json.loads(bean[key]) for key in ("LiveNodes", "DeadNodes", "DecomNodes"))
        return cls(
            states={_address(node): str(node["adminState"]) for node in live.values()},
            to_copy={_address(node): int(node["underReplicatedBlocks"]) for node in leaving.values()},
            dead={_address(node): float(node["lastContact"]) for node in dead.values() if node["uuid"]},
            safe_mode=bool(bean["Safemode"]),
        )

    @property
    def serving(self) -> frozenset[str]:
        """Addresses of those that are given blocks."""
        return frozenset(address for address, state in self.states.items() if state == IN_SERVICE)


def _address(node: Mapping[str, Any]) -> str:
    return str(node.get("xferaddr", "")).rpartition(":")[0]


@dataclass(frozen=True)
class HdfsState:
    """How many DataNodes live, and bytes of all of them together."""

    datanodes: int
    capacity: int
    used: int
    remaining: int

    @classmethod
    def parse(cls, page: dict[str, Any]) -> HdfsState:
        """Read STATE_PAGE."""
        bean = _bean(page)
        return cls(
            datanodes=int(bean.get("NumLiveDataNodes", 0)),
            capacity=int(bean.get("CapacityTotal", 0)),
            used=int(bean.get("CapacityUsed", 0)),
            remaining=int(bean.get("CapacityRemaining", 0)),
        )


@dataclass(frozen=True)
class Worker:
    """A living Worker: where it is, its processors, and the MiB that no application has."""

    host: str
    cores: int
    cores_used: int
    memory_free_mb: int


@dataclass(frozen=True)
class SparkState:
    """What the Master knows: living Workers, and applications that run or wait, as `name (id)`.

    `computing` are those of them that have processors.
    """

    workers: tuple[Worker, ...]
    applications: tuple[str, ...]
    computing: tuple[str, ...] = ()

    @classmethod
    def parse(cls, page: dict[str, Any]) -> SparkState:
        """Read MASTER_PAGE."""
        workers = (
            Worker(
                host=str(each.get("host", "")),
                cores=int(each.get("cores", 0)),
                cores_used=int(each.get("coresused", 0)),
                memory_free_mb=int(each.get("memoryfree", 0)),
            )
            for each in page.get("workers", ())
            if each.get("state") == "ALIVE"
        )
        applications = {
            f"{each.get('name')} ({each.get('id')})": int(each.get("cores", 0))
            for each in page.get("activeapps", ())
        }
        computing = tuple(name for name, cores in applications.items() if cores)
        return cls(workers=tuple(workers), applications=tuple(applications), computing=computing)


def datanodes(namenode_url: str, timeout_s: float = 10) -> DataNodes:
    """Ask the NameNode who has joined. Raises OSError, ValueError."""
    return read(ask(namenode_url + INFO_PAGE, timeout_s), DataNodes.parse)


def members(namenode_url: str) -> Members:
    """Ask the NameNode which DataNodes live, and which of them are to go. Raises OSError, ValueError."""
    return read(ask(namenode_url + INFO_PAGE), Members.parse)


def is_healthy(namenode_url: str, timeout_s: float = 60) -> bool:
    """Have the NameNode look at every file; say whether none lacks a block. Raises OSError, ValueError.

    `hdfs fsck /`, without a JVM. The count of missing blocks on its page leaves out those of a DataNode that
    died while it was being decommissioned.
    """
    told = _content(namenode_url + FSCK_PAGE, timeout_s)
    return told.rstrip().endswith(b"The filesystem under path '/' is HEALTHY")


def spark(master_url: str, timeout_s: float = 10) -> SparkState:
    """Ask the Spark Master. Raises OSError, ValueError."""
    return read(ask(master_url + MASTER_PAGE, timeout_s), SparkState.parse)


def hdfs(namenode_url: str, timeout_s: float = 10) -> HdfsState:
    """Ask the NameNode how HDFS is. Raises OSError, ValueError."""
    return read(ask(namenode_url + STATE_PAGE, timeout_s), HdfsState.parse)
