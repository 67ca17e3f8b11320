"""Puts a cluster together: providers, SSH, object stores and the making of images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from provision.cluster import baking
from provision.cluster.cluster import Cluster
from provision.cluster.store import StoreLink
from provision.cluster.view import ClusterView
from provision.core.paths import project_root
from provision.core.reporter import Reporter
from provision.core.spec import ClusterSpec
from provision.images.recipe import Recipe
from provision.ssh.pinning import Reach
from provision.state.timeline import ConsoleReporter


def open_cluster(
    spec: ClusterSpec,
    *,
    root: Path | None = None,
    reporter: Reporter | None = None,
    vault: Mapping[str, str] | None = None,
) -> Cluster:
    """Return the cluster of a config, which may not exist yet; nothing is touched or asked.

    Args:
        spec: the validated config.
        root: the project's folder; found from the config file's place when not given.
        reporter: told phases and progress; the console when not given.
        vault: secret variables that are needed here: the keys of a store elsewhere; None = not read.
    """
    shown = reporter or ConsoleReporter()

    def bake(recipe: Recipe) -> str:
        return baking.ensure(recipe, shown)

    place = root or project_root(spec.path.parent)
    view = ClusterView(spec, root=place)
    return Cluster(view, reporter=shown, reach=Reach(), stores=StoreLink(bake, vault), bake=bake)
