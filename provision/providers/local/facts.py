"""What is known of machines on this computer."""

from __future__ import annotations

import os
from typing import ClassVar

from provision.core.model import MachineType, Price
from provision.core.schema import Model
from provision.core.spec import NodeGroup, Shape
from provision.providers.facts import Deadlines, Facts
from provision.providers.local.config import LocalBlock

MOST_NODES = 4
"""Into how many nodes `types` divides this computer."""


class LocalFacts(Facts):
    """Machines on this computer."""

    name = "local"
    deadlines = Deadlines(boot=60)
    block: ClassVar = LocalBlock
    group: ClassVar = Model
    settings: ClassVar = LocalBlock
    paid = False
    types_without = "what other clusters use of this computer was not looked at; its nodes share its cores"
    here = True
    reshapes = True
    at_end = "machines of this computer power off; they stay, and cost nothing, until destroy or reap"
    when_stopped = "stopped machines of this computer cost nothing"

    def types(self) -> list[MachineType]:
        """This computer, as one node or divided among several; see `Facts.types`."""
        from provision.providers.local.helper.capacity import MEMORY_RESERVE_MB  # inventories do without

        cores, memory_mb = os.cpu_count() or 1, _memory_mb() - MEMORY_RESERVE_MB
        shares = [Shape(cores, memory_mb // nodes // 512 / 2) for nodes in range(1, MOST_NODES + 1)]
        return [
            MachineType("this computer", self.name, shape, Price(0.0, "nobody is paid"), nodes)
            for nodes, shape in enumerate(shares, start=1)
            if shape.memory_gb > 0
        ]

    def memory_gb(self, group: NodeGroup) -> float | None:
        """Machines have what the group says."""
        return group.memory_gb


def _memory_mb() -> int:
    """This computer's memory in MiB; 0 where the system does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
    except (OSError, ValueError):
        return 0


FACTS = LocalFacts()
