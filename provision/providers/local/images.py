"""Images on this computer."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

from provision.core.model import ClusterIdentity
from provision.core.reporter import Reporter
from provision.providers.local import client
from provision.providers.local.helper import bootstrap, disks, registry


class Image(TypedDict):
    """A base or a layer. Units: `created` seconds since the epoch, `age_s` seconds, `bytes` on the disk."""

    key: str
    kind: str  # base | layer
    base: str  # the image a layer lies on
    created: float
    age_s: float
    bytes: int
    used_by: list[str]  # machines (`cluster/name`) and layers
    usable: bool  # by this user's machines
    meta: dict[str, Any]  # what was given to `commit`


def base_recipe() -> str:
    """Return what a base image is made from, in a few characters that change when it does."""
    return bootstrap.recipe()


def artifacts_folder() -> Path:
    """Return where this user's downloads lie, which machines of this computer can read."""
    return registry.artifacts(registry.caller())


def ensure_base(reporter: Reporter | None = None, *, refresh: bool = False) -> str:
    """Return the id of the base image; built when missing, renewed after 14 days when that succeeds.

    Raises:
        ProviderError: it could not be built; NotReady: no room on the disk.
    """
    built = client.call("image-base", {"refresh": refresh}, say=reporter.say if reporter else None)
    return str(built["id"])


def no_room() -> str:
    """Say that too little of this computer's disk is left for a builder to write on; '' = there is enough."""
    try:
        free, least = shutil.disk_usage(registry.ROOT).free / 1024**3, disks.RESERVE / 1024**3
    except OSError as error:
        return f"how much of the disk of {registry.ROOT} is left cannot be seen: {error.strerror}"
    if free >= least:
        return ""
    return f"the disk of {registry.ROOT} has {free:.1f} GiB left, of which {least:.0f} must stay free"


def list_images() -> list[Image]:
    """Return all complete images, the newest first."""
    return [
        Image(
            key=raw["key"],
            kind=raw["kind"],
            base=raw["base"],
            created=raw["created"],
            age_s=raw["age_s"],
            bytes=raw["size"],
            used_by=raw["used_by"],
            usable=raw["usable"],
            meta=raw["meta"],
        )
        for raw in reversed(client.call("image-list"))
    ]


def layers(*, younger_than_s: float = math.inf) -> set[str]:
    """Return the keys of the layers that this user's machines can be booted from."""
    found = [image for image in list_images() if image["kind"] == "layer" and image["usable"]]
    return {image["key"] for image in found if image["age_s"] < younger_than_s}


def commit(
    cluster: ClusterIdentity, key: str, meta: Mapping[str, Any] | None = None, *, machine: str = ""
) -> str:
    """End the builder machine of `cluster` and make its changes the layer `key`.

    Args:
        cluster: the builder's; the only machine of it when `machine` is not given.
        key: the recipe's key.
        meta: kept beside the layer and shown by `list_images`.
        machine: name of the builder.

    Raises:
        ProviderError: there is no such machine.
    """
    body = {"cluster_id": cluster.id, "key": key, "name": machine, "meta": dict(meta or {})}
    return str(client.call("image-commit", body)["key"])


def remove(*keys: str) -> list[str]:
    """Delete images; raises ProviderError when one is in use or unknown."""
    return list(client.call("image-remove", {"keys": list(keys)}))


def prune(*, older_than_s: float = 0) -> list[str]:
    """Delete all images that nothing uses; return their ids."""
    return list(client.call("image-remove", {"prune": True, "older_than_s": older_than_s}))
