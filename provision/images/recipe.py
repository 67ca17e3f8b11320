"""Recipes: what is baked into a layer, and the key by which a layer is known."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from muster_node.clean import OF_ONE_MACHINE
from muster_node.needed import NEEDED
from provision.core.features import roles_of
from provision.core.names import MASTER
from provision.core.paths import PROJECT
from provision.core.spec import ClusterSpec, NodeGroup, Packages
from provision.providers.facts import facts_of
from provision.providers.local.images import base_recipe

NODE_ROLES = ("base", "node", "java", "hdfs", "spark", "deep_learning", "dataset")
GPU_ROLES = ("base", "nvidia", *NODE_ROLES[1:])
"""The driver early: where it cannot be had, that is said before the rest is installed."""
STORE_ROLES = ("base", "object_store")
LATER = ("deep_learning", "dataset")
"""What no service needs: on machines that no image was made for, it is installed when services run."""
PLAYBOOK = "playbooks/image/install.yml"
# The parts of a role that an image is made from.
INSTALLED = (
    "defaults", "files", "tasks/needed.yml", "tasks/install.yml", "tasks/custom.yml", "tasks/archives.yml",
    "tasks/archived.yml", "templates/install", "vars",
)  # fmt: skip
# What those name outside of their own folder, which is as deep as the playbook's: ../../node/muster_node/a.py
OUTSIDE = re.compile(r"/?\.\./\.\./([\w./-]+)")


@dataclass(frozen=True)
class Recipe:
    """What is baked into a layer.

    Attributes:
        roles: whose `install` parts are run.
        packages: Debian's and Python's besides.
        setup: the text of the user's script; '' = none.
        features: roles of features, which come last: on this computer they are a layer of their own.
    """

    roles: tuple[str, ...]
    packages: Packages = field(default_factory=Packages)
    setup: str = ""
    features: tuple[str, ...] = ()

    @cached_property
    def beneath(self) -> Recipe | None:
        """The same without features; None where there are none."""
        return replace(self, features=()) if self.features else None

    @property
    def all_roles(self) -> tuple[str, ...]:
        """The roles in the order in which they are installed."""
        return self.roles + self.features

    @cached_property
    def key(self) -> str:
        """Sixteen hex digits that change whenever the layer's content would; read once, before baking."""
        digest = hashlib.sha256(base_recipe().encode())
        for path in sorted(set(self._files())):
            digest.update(str(path.relative_to(PROJECT)).encode() + b"\0" + path.read_bytes() + b"\0")
        digest.update(json.dumps([self.as_variable(), OF_ONE_MACHINE]).encode())
        return digest.hexdigest()[:16]

    def as_variable(self) -> dict[str, Any]:
        """The recipe as playbooks/image/install.yml reads it (`node_recipe`)."""
        return {
            "needed": sorted(set(NEEDED.values())),
            "roles": list(self.roles),
            "first": [role for role in self.roles if role not in LATER],
            "later": [role for role in self.roles if role in LATER],
            "apt": list(self.packages.apt),
            "pip": list(self.packages.pip),
            "setup": self.setup,
            "features": list(self.features),
            "beneath": self.beneath.key if self.beneath else "",
        }

    def _files(self) -> Iterator[Path]:
        """The files of the project that the install parts read: their own, and those that they name."""
        tasks = [PROJECT / PLAYBOOK]
        for role in self.all_roles:
            for part in INSTALLED:
                path = PROJECT / "roles" / role / part
                found = [path] if path.is_file() else list(path.rglob("*"))
                yield from (file for file in found if file.is_file())
                tasks += [file for file in found if file.parent.name == "tasks"]
        yield PROJECT / PLAYBOOK
        for file in tasks:
            yield from (PROJECT / name for name in OUTSIDE.findall(file.read_text(encoding="utf-8")))


def node_recipe(spec: ClusterSpec, group: NodeGroup) -> Recipe:
    """The recipe of a group's machines: features, the cluster's and its own `packages` and `setup`."""
    packages = Packages(
        apt=spec.packages.apt + group.packages.apt, pip=spec.packages.pip + group.packages.pip
    )
    scripts = [Path(name).read_text(encoding="utf-8") for name in (spec.setup, group.setup) if name]
    roles = GPU_ROLES if facts_of(group.provider).has_gpu(group) else NODE_ROLES
    features = roles_of(spec.features, master=group.name == MASTER)
    return Recipe(roles=roles, packages=packages, setup="\n".join(scripts), features=features)


def store_recipe() -> Recipe:
    """The recipe of the machine of an object store: the same for every cluster."""
    return Recipe(roles=STORE_ROLES)
