"""Who may log in on a cluster: its config file and its machines change together."""

from __future__ import annotations

from dataclasses import replace

from provision.cluster.cluster import Cluster
from provision.config import edit
from provision.config.load import load_config
from provision.core.errors import ConfigError, MusterError
from provision.core.spec import ClusterSpec
from provision.ssh import access

Failures = dict[str, str] | None
"""What went wrong, by machine; None: the cluster is not started, so only its file was changed."""


def let_in(cluster: Cluster, name: str, key: str) -> Failures:
    """Put a person into `access` of the config file and let them in on all machines at once.

    Args:
        cluster: of the config file; kept from other commands meanwhile.
        name: the person's.
        key: their public key.

    Raises:
        ConfigError, LeaseHeld: nothing was changed.
    """
    _lock(cluster)
    edit.add_person(cluster.spec.path, name, key)
    return _apply(cluster, load_config(cluster.spec.path))


def keep_out(cluster: Cluster, name: str) -> Failures:
    """Take a person out of `access`, remove the key from all machines and end what was opened with it.

    Raises:
        ConfigError, LeaseHeld: nothing was changed.
        MusterError: this checkout would lock itself out; nothing was changed.
    """
    spec = cluster.spec
    if name not in spec.access:
        raise ConfigError(
            file=spec.path,
            key="access",
            what=f"there is no {name!r}",
            remedy=f"There are: {', '.join(spec.access) or 'none'}",
        )
    removed = spec.access[name]
    if access.own_key(cluster.state) == access.bare(removed):
        raise MusterError(
            where=name,
            what="this checkout itself logs in with that key",
            remedy="Remove it from another checkout that works on the cluster",
        )
    _lock(cluster)
    rest = {other: key for other, key in spec.access.items() if other != name}
    # The machines first: killed in between, the same command is still possible.
    failures = _apply(cluster, replace(spec, access=rest))
    edit.remove_person(spec.path, name)
    return failures


def _lock(cluster: Cluster) -> None:
    if cluster.state.exists():
        cluster.lock()


def _apply(cluster: Cluster, spec: ClusterSpec) -> Failures:
    return access.apply(cluster.state, spec.access) if cluster.state.exists() else None
