"""Inventory plugin: config file + what is known of the cluster. Asks no provider, so it is quick."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ansible import context
from ansible.plugins.inventory import BaseInventoryPlugin
from ansible.utils.display import Display

from provision.cluster import inventory
from provision.config.extra import check_extra_names
from provision.config.load import load_config
from provision.core.errors import MusterError
from provision.core.paths import project_root, states_folder
from provision.plugins.preflight import check_environment, check_selectors, is_listing, unread
from provision.state.folder import State

DOCUMENTATION = r"""
name: cluster
short_description: The machines of a Muster cluster
description:
  - Reads one config file (see docs/) and the cluster's state folder. The keys of the file are validated by
    provision/config/load.py; this list only names the one that Ansible itself needs.
options:
  plugin:
    description: Always C(cluster).
    required: true
    choices: [cluster]
"""


class InventoryModule(BaseInventoryPlugin):
    """Hands the inventory of provision/cluster/inventory.py to Ansible."""

    NAME = "cluster"

    def verify_file(self, path: str) -> bool:
        """Return True for YAML files, missing ones and strangers too: the error is ours."""
        return Path(path).suffix in {".yml", ".yaml"} and not Path(path).is_dir()

    def parse(self, inventory_data: Any, loader: Any, path: str, cache: bool = True) -> None:  # noqa: ANN401
        """Fill Ansible's inventory; a wrong config ends the command with one line.

        Raising Ansible's own error instead would print the same text four times over twelve lines.
        """
        super().parse(inventory_data, loader, path, cache)
        try:
            if not is_listing(context.CLIARGS):
                check_environment(os.environ)
                check_selectors(context.CLIARGS)
            if self._vars:  # exactly what was given with -e, as NAME=VALUE, JSON or @file
                check_extra_names(self._vars)
                for line in unread(context.CLIARGS, self._vars):
                    Display().warning(line)
            spec = load_config(Path(path), self._vars)
            root = project_root(Path(path).parent)
            found = inventory.build(spec, State(states_folder(root) / spec.name), root=str(root))
        except MusterError as error:
            Display().error(str(error), wrap_text=False)
            raise SystemExit(error.exit_status) from None
        for group, names in found.groups.items():
            self.inventory.add_group(group)
            for name in names:
                self.inventory.add_host(name, group=group)
        for name, variables in found.hosts.items():
            for key, value in variables.items():
                self.inventory.set_variable(name, key, value)
        for key, value in found.variables.items():
            self.inventory.set_variable("all", key, value)
