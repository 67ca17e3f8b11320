"""What is wished of a cluster beside its file: `-e NUM_NODES`, `-e CORES`, `-e MEMORY_GB`, `-e MACHINES`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from provision.config.explain import explain
from provision.config.models import GroupModel
from provision.core.errors import ConfigError
from provision.core.names import EXPERIMENT
from provision.core.spec import ClusterSpec, Scale
from provision.planning.sites import too_small
from provision.providers.facts import facts_of

SIZE_VARIABLE, CORES_VARIABLE, MEMORY_VARIABLE = "NUM_NODES", "CORES", "MEMORY_GB"
MACHINES_VARIABLE = "MACHINES"
VARIABLES = (SIZE_VARIABLE, CORES_VARIABLE, MEMORY_VARIABLE, MACHINES_VARIABLE)
_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]+")


def wished(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the variables that are a wish, as `load_config` takes them."""
    return {name: variables[name] for name in VARIABLES if variables.get(name) is not None}


def size_of(value: Any) -> int:  # noqa: ANN401  (whatever was given with -e)
    """Return `-e NUM_NODES` as a number; Ansible gives a string for NAME=VALUE and any type for JSON."""
    text = str(value).strip()
    if isinstance(value, bool) or not _WHOLE_NUMBER.fullmatch(text):
        what = f"the number of nodes is not a whole number: {text!r}"
    elif int(text) < 1:
        what = f"a cluster has at least 1 node, not {int(text)}"
    else:
        return int(text)
    raise ConfigError(
        file=f"-e {SIZE_VARIABLE}={text}",
        what=what,
        remedy=f"Say for example -e {SIZE_VARIABLE}=3; to remove a cluster, run destroy_cluster.yml",
    )


def scaled(spec: ClusterSpec, extra: Mapping[str, Any]) -> ClusterSpec:
    """Return the cluster with machines as `-e CORES`, `-e MEMORY_GB` and `-e MACHINES` wish them.

    Raises:
        ConfigError: a value is no such number, too small for a node, or does not decide at the provider.
    """
    return _with_shape(_with_machines(spec, extra.get(MACHINES_VARIABLE)), extra)


def _with_machines(spec: ClusterSpec, wanted: Any) -> ClusterSpec:  # noqa: ANN401  (whatever was given with -e)
    """Return the cluster with so many machines for experiments. Raises ConfigError."""
    if wanted is None:
        return spec
    text = str(wanted).strip()
    shown = f"-e {MACHINES_VARIABLE}={text}"
    if not re.fullmatch(r"[0-9]{1,3}", text):
        raise ConfigError(file=shown, what="is no number of machines", remedy="Say for example -e MACHINES=3")
    if EXPERIMENT not in {group.name for group in spec.groups}:
        raise ConfigError(
            file=shown,
            what=f"no group {EXPERIMENT} in {spec.path.name} says what those machines are",
            remedy=f"Add one to its groups, for example `{EXPERIMENT}: {{cores: 2, memory_gb: 2}}`",
        )
    return spec.scaled(Scale(machines=int(text)))


def _with_shape(spec: ClusterSpec, extra: Mapping[str, Any]) -> ClusterSpec:
    given = {name: extra[name] for name in (CORES_VARIABLE, MEMORY_VARIABLE) if extra.get(name) is not None}
    if not given:
        return spec
    shown = " ".join(f"-e {name}={str(value).strip()}" for name, value in given.items())
    numbers = {name.lower(): _number(name, value) for name, value in given.items()}
    try:
        found = GroupModel.model_validate(numbers)
    except ValueError as error:
        raise explain(error, shown, GroupModel) from error
    cores = found.cores if CORES_VARIABLE in given else None
    wish = spec.scaled(Scale(cores, float(found.memory_gb) if MEMORY_VARIABLE in given else None))
    for group in wish.scaled_groups:
        if key := facts_of(group.provider).decides_shape(group):
            raise ConfigError(
                file=shown,
                what=f"groups.{group.name} is at {group.provider}, where {key} decides what machines have",
                remedy=f"Change {key} in the config file; machines that exist are made anew for it: "
                "destroy_cluster.yml, then start_cluster.yml",
            )
    for key, what in too_small(wish).items():
        raise ConfigError(file=shown, key=key, what=what)
    return wish


def _number(name: str, value: Any) -> float:  # noqa: ANN401  (whatever was given with -e)
    """Return a value as a number: of processors a whole one. Raises ConfigError."""
    text = str(value).strip()
    try:
        number = math.nan if isinstance(value, bool) else float(text)
    except ValueError:
        number = math.nan
    if name == CORES_VARIABLE and number.is_integer():
        return int(number)
    if name == CORES_VARIABLE or not math.isfinite(number):
        kind = "whole number of processors" if name == CORES_VARIABLE else "number of GiB"
        example = "8" if name == CORES_VARIABLE else "16"
        raise ConfigError(
            file=f"-e {name}={text}", what=f"is no {kind}", remedy=f"Say for example -e {name}={example}"
        )
    return number
