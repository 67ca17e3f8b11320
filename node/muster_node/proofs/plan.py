"""What a node is asked to prove, and what a check is."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

Work = Callable[[], tuple[bool, object]]
"""Says whether it is well, and what was found."""


class Unknown(Exception):
    """A check could not be made; the text says why."""


@dataclass(frozen=True)
class Share:
    """The staged files that this node reads: every `count`-th from `index` on, of a set.

    `size` 0 = all sizes that are staged; `folder` '' = they are in HDFS; after `seconds` of reading, the rest
    is compared by size only. `settings` are what the set of `settings_size` must have been made with.
    """

    name: str
    size: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    settings_size: int = 0
    folder: str = ""
    index: int = 0
    count: int = 1
    seconds: float = 15


@dataclass(frozen=True)
class Plan:
    """What a node proves: the whole cluster (`master`), a training step (`deep_learning`), its data.

    `user` proves it, as jobs do; `wish` is the number of nodes, `addresses` name -> private address,
    `environment` that of Spark applications; `features`: services of this node besides HDFS and Spark.
    """

    user: str = "hadoop"
    wish: int = 0
    datanodes: Sequence[str] = ()
    workers: Sequence[str] = ()
    addresses: Mapping[str, str] = field(default_factory=dict)
    master: bool = False
    deep_learning: bool = False
    gpus: int = 0
    namenode_url: str = ""
    master_url: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    features: Sequence[str] = ()
    dataset: Share | None = None

    @classmethod
    def parse(cls, known: dict[str, Any]) -> Plan:
        """Read a plan's JSON."""
        share = known.pop("dataset", None)
        return cls(**known, dataset=Share(**share) if share else None)


@dataclass(frozen=True)
class Check:
    """One thing to prove. `remedy` says what to do when it fails."""

    name: str
    remedy: str
    expected: object
    work: Work


@dataclass(frozen=True)
class Answer:
    """What came out of a check. `ok` is None where nothing could be said."""

    name: str
    ok: bool | None
    expected: object
    found: object
    seconds: float
    remedy: str

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)


def make(check: Check) -> Answer:
    """Make one check; whatever goes wrong in it is its finding."""
    began = time.monotonic()
    ok: bool | None
    found: object
    try:
        ok, found = check.work()
    except Unknown as error:
        ok, found = None, str(error)
    except subprocess.TimeoutExpired as error:
        ok, found = False, f"no answer within {error.timeout:.0f} s"
    except Exception as error:  # noqa: BLE001  one proof that fails must not hide the others
        ok, found = False, " ".join(f"{error or type(error).__name__}".split())[:300]
    seconds = round(time.monotonic() - began, 2)
    return Answer(check.name, ok, check.expected, found, seconds, "" if ok else check.remedy)
