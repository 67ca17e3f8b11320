"""What each machine is given to do by playbooks, counted by Ansible's own parser without a machine.

    python -m tests.unit.project.counting INVENTORY PLAYBOOK...

prints as JSON, by host, the tasks whose conditions hold on a first run, as [action, role and name]. What is included
while playbooks run (`include_role`, `include_tasks`) counts as one task, and each registered result as empty.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from ansible import context
from ansible.inventory.manager import InventoryManager
from ansible.module_utils.common.collections import ImmutableDict
from ansible.parsing.dataloader import DataLoader
from ansible.playbook import Playbook
from ansible.playbook.block import Block
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar
from ansible.vars.manager import VariableManager

NOTHING = frozenset({"meta", "ansible.builtin.meta"})


def tasks_of(block: Block) -> Iterator[Any]:
    """Yield the tasks of a block, and of the blocks in it."""
    for one in block.block:
        if isinstance(one, Block):
            yield from tasks_of(one)
        elif one.action not in NOTHING:
            yield one


def count(inventory: str, playbooks: list[str]) -> dict[str, list[tuple[str, str]]]:
    """Return the tasks by host."""
    context.CLIARGS = ImmutableDict(listtasks=True, check=False, args=())
    init_plugin_loader()
    loader = DataLoader()
    hosts = InventoryManager(loader, sources=[inventory])
    variables = VariableManager(loader, hosts, version_info={"major": 2})
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for name in playbooks:
        for play in Playbook.load(name, variable_manager=variables, loader=loader).get_plays():
            play.post_validate(Templar(loader, variables.get_vars(play=play)))
            tasks = [task for block in play.compile() for task in tasks_of(block)]
            for host in hosts.get_hosts(play.hosts):
                for task in tasks:
                    known = variables.get_vars(play=play, host=host, task=task)
                    if task._resolve_conditional(task.when, known):
                        found[host.name].append((task.action, task.get_name()))
                        if task.register:
                            variables.set_nonpersistent_facts(host.name, {task.register: {}})
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(count(sys.argv[1], sys.argv[2:])))
