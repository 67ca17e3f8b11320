"""The config file that this run of Ansible was given, as every action plugin needs it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible import constants, context

from provision.config.load import is_config, load_config
from provision.config.wish import wished
from provision.core.errors import ConfigError
from provision.core.spec import ClusterSpec


def config_of_run(task_vars: Mapping[str, Any]) -> ClusterSpec:
    """Return the config of the inventory file that this run was given, with the wishes given with `-e`.

    Raises:
        ConfigError: there is none, several, or one that is wrong.
    """
    sources = context.CLIARGS.get("inventory") or constants.DEFAULT_HOST_LIST
    found = [Path(source) for source in sources if is_config(Path(source))]
    if len(found) != 1:
        raise ConfigError(
            file=", ".join(map(str, sources)),
            what=f"{len(found)} of these are config files of a cluster, exactly one is needed",
            remedy="Give one with -i, for example -i inventories/local.yml",
        )
    return load_config(found[0], wished(task_vars))
