"""What is known of machines on this computer."""

from __future__ import annotations

from typing import ClassVar

from provision.core.schema import Model
from provision.providers.facts import Deadlines, Facts
from provision.providers.local.config import LocalBlock


class LocalFacts(Facts):
    """Machines on this computer."""

    name = "local"
    deadlines = Deadlines(boot=60)
    block: ClassVar = LocalBlock
    group: ClassVar = Model
    settings: ClassVar = LocalBlock
    paid = False
    here = True
    at_end = "machines of this computer power off; they stay, and cost nothing, until destroy or reap"
    when_stopped = "stopped machines of this computer cost nothing"


FACTS = LocalFacts()
