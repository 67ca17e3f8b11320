"""Images on this computer: bases made by mmdebstrap, and layers, each the changes of one builder machine.

`images/<id>/root` is the tree, `images/<id>/meta.json` says what it is. A directory appears under its name
only when it is complete; everything unfinished lies in `images/.tmp-<pid>-…` and is removed by the next run.
Anybody can work out a recipe's key, so a layer serves whom it was made by, and only root's serve everybody.
"""

from __future__ import annotations

import errno
import json
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from muster_node import clean

from . import bootstrap, disks, registry, supervisor, validate
from .errors import HelperError
from .registry import ROOT, Registry
from .system import locked, mount_points, remove_tree, run, say, write

IMAGES = ROOT / "images"
REFRESH_S = 14 * 86400
BASE_SPACE = 1024**3  # bytes needed while a base is built


@dataclass(frozen=True)
class Image:
    """One base or layer."""

    id: str  # of a layer: its key, and when it was made
    kind: str  # base | layer
    base: str  # the image that a layer lies on, a base or another layer; '' for a base
    created: float
    size: int  # bytes
    owner: int
    recipe: str = ""  # of a base: digest of how it is made
    meta: dict[str, Any] = field(default_factory=dict)  # what the caller wants to remember of it
    key: str = ""  # of a layer: its recipe's; '' = the id, as it was once

    @property
    def name(self) -> str:
        """What it is asked for by."""
        return self.key or self.id

    @property
    def usable(self) -> bool:
        """Whether the caller's machines may boot from it."""
        return self.kind == "base" or self.owner in (0, registry.caller())


def known() -> list[Image]:
    """All complete images, oldest first."""
    found = [
        Image(**json.loads(path.read_text()))
        for path in (IMAGES.glob("*/meta.json") if IMAGES.is_dir() else ())
        if not path.parent.name.startswith(".")
    ]
    return sorted(found, key=lambda image: image.created)


def find(name: str) -> Image | None:
    """The newest image of this name that the caller may use, or None."""
    return next((image for image in reversed(known()) if image.name == name and image.usable), None)


def lower(key: str) -> list[str]:
    """The ids below a new machine, uppermost first; the newest base of this recipe when `key` is empty.

    Raises:
        HelperError: there is no such image (kind `no_image`).
    """
    if not key:
        recipe = bootstrap.recipe()
        bases = [image.id for image in known() if (image.kind, image.recipe) == ("base", recipe)]
        if not bases:
            raise HelperError("there is no base image on this computer yet", kind="no_image")
        return bases[-1:]
    by_id = {image.id: image for image in known()}
    image, ids = find(key), []
    while image is not None:
        ids.append(image.id)
        if not image.base:
            return ids
        image = by_id.get(image.base)
    raise HelperError(
        f"there is no image {key} on this computer; run the command again to bake it", kind="no_image"
    )


def base(request: dict[str, Any]) -> dict[str, Any]:
    """The base image, built when there is none, and again when it is 14 days old and that succeeds."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    if not request.get("refresh") and (fresh := _fresh_base()):
        return asdict(fresh)
    with locked(ROOT / "locks" / "images", waiting="another run builds the base image; waiting for it"):
        if not request.get("refresh") and (fresh := _fresh_base()):
            return asdict(fresh)
        sweep()
        usable = [image for image in known() if image.kind == "base" and image.recipe == bootstrap.recipe()]
        try:
            return asdict(_build_base())
        except HelperError as error:
            if not usable or request.get("refresh"):
                raise
            days = f"{_age_days(usable[-1]):.0f}"
            say(f"the base image is {days} days old and could not be refreshed ({error}); kept")
            return asdict(usable[-1])


def _age_days(image: Image) -> float:
    return (time.time() - image.created) / 86400


def _fresh_base() -> Image | None:
    for image in reversed(known()):
        if image.kind == "base" and image.recipe == bootstrap.recipe():
            return image if time.time() - image.created < REFRESH_S else None
    return None


def _build_base() -> Image:
    disks.require_space(BASE_SPACE, "the base image")
    temporary = IMAGES / f".tmp-{os.getpid()}-base"
    (temporary / "root").mkdir(parents=True)
    bootstrap.build(temporary / "root")
    identity = f"base-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}"
    made = Image(
        id=identity,
        kind="base",
        base="",
        created=time.time(),
        size=tree_size(temporary / "root"),
        owner=registry.caller(),
        recipe=bootstrap.recipe(),
    )
    return _finish(temporary, made)


def _finish(temporary: Path, image: Image) -> Image:
    """Put a complete image on the disk, then under its name."""
    write(temporary / "meta.json", json.dumps(asdict(image), indent=1))
    run(["sync", "--file-system", str(temporary)])
    temporary.rename(IMAGES / image.id)
    return image


def commit(request: dict[str, Any]) -> dict[str, Any]:
    """Make the changes of a builder machine a layer; the machine is ended, its disks are used up."""
    key = validate.token(request.get("key"), "image key")
    cluster_id = validate.hex_id(request.get("cluster_id"))
    name = validate.name(request["name"]) if request.get("name") else ""
    meta = validate.mapping(request.get("meta"), "meta")
    with (
        registry.cluster_lock(cluster_id),
        locked(ROOT / "locks" / "images", waiting="waiting for another image"),
    ):
        state = registry.load()
        found = [node for node in state.of(cluster_id) if name in ("", node.name)]
        existing = find(key)
        if existing and not any(node.created > existing.created for node in found):
            return asdict(existing)  # asked again, after the answer was lost
        if len(found) != 1 or not found[0].prepared.exists():
            raise HelperError(
                f"cluster {cluster_id} has no builder {name} (any more); run the command again",
                kind="no_builder",
            )
        node = found[0]
        registry.authorize(node.owner, f"machine {name}")
        sweep()
        disks.require_space(0, "an image layer")
        supervisor.halt(node)
        disks.release(node)
        node.prepared.unlink()
        temporary = IMAGES / f".tmp-{os.getpid()}-layer"
        temporary.mkdir(parents=True)
        changes = disks.mount_changes(node) / "upper"
        clean.clean(changes)
        _take(changes, temporary / "root")
        disks.release(node)
        created = time.time()
        made = Image(
            id=f"{key}.{created:.0f}",
            key=key,
            kind="layer",
            base=node.lower[0],
            created=created,
            size=tree_size(temporary / "root"),
            owner=registry.caller(),
            meta=meta,
        )
        finished = asdict(_finish(temporary, made))
        with registry.changing() as state:
            _forget_older(made, state)
        return finished


def _take(changes: Path, to: Path) -> None:
    """Move a tree, which takes no time; what lies on a disk of the node's own is copied."""
    try:
        changes.rename(to)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        disks.require_space(tree_size(changes), "an image layer")
        run(["cp", "--archive", str(changes), str(to)])


def _forget_older(newest: Image, state: Registry) -> None:
    """Delete the layers in whose place a new one is, but for those that machines still use."""
    images = known()
    for image in images:
        replaced = image.kind == "layer" and image.name == newest.name and image.owner == newest.owner
        if replaced and image.id != newest.id and not users(image, state, images):
            remove_tree(IMAGES / image.id)


def users(image: Image, state: Registry, images: list[Image]) -> list[str]:
    """Who needs an image: machines, and layers on it."""
    nodes = [
        f"{state.networks[n.cluster_id].name}/{n.name}" for n in state.nodes.values() if image.id in n.lower
    ]
    return sorted(nodes + [other.id for other in images if other.base == image.id])


def listing(_: dict[str, Any]) -> list[dict[str, Any]]:
    """All images with age and users."""
    state, images = registry.load(), known()
    now = time.time()
    return [
        {
            **asdict(i),
            "key": i.name,
            "usable": i.usable,
            "age_s": now - i.created,
            "used_by": users(i, state, images),
        }
        for i in images
    ]


def remove(request: dict[str, Any]) -> list[str]:
    """Delete images by key, or all unused ones (`prune`, optionally only those older than `older_than_s`)."""
    with locked(ROOT / "locks" / "images", waiting="waiting for another image"), registry.changing() as state:
        sweep()
        wanted = [validate.token(key, "image key") for key in request.get("keys", [])]
        for key in wanted:
            found = [image for image in known() if key in (image.id, image.name)]
            if not found:
                raise HelperError(f"there is no image {key}; `./muster images` lists them", kind="refused")
            for image in [one for one in found if registry.caller() in (0, one.owner)] or found:
                registry.authorize(image.owner, f"image {key}")
                if using := users(image, state, known()):
                    raise HelperError(
                        f"image {key} is used by {', '.join(using)}; remove these first", kind="in_use"
                    )
                remove_tree(IMAGES / image.id)
        return wanted + (_prune(state, float(request.get("older_than_s", 0))) if request.get("prune") else [])


def _prune(state: Registry, older_than_s: float) -> list[str]:
    """Layers before what they lie on, which is older; never the newest base unless everything shall go."""
    removed = []
    for image in reversed(known()):
        old = time.time() - image.created >= older_than_s
        if old and registry.caller() in (0, image.owner) and not users(image, state, known()):
            remove_tree(IMAGES / image.id)
            removed.append(image.id)
    return removed


def sweep() -> None:
    """Remove what killed builds left; call with the lock on images held."""
    for leftover in IMAGES.glob(".*-*"):
        for point in [p for p in mount_points() if Path(p).is_relative_to(leftover)][::-1]:
            run(["umount", "--lazy", point])
        remove_tree(leftover)


def tree_size(root: Path) -> int:
    """Bytes on the disk, hard links counted once; without what vanishes meanwhile, as in a store at work."""
    command = ["du", "--summarize", "--block-size=1", "--one-file-system", str(root)]
    return int((run(command, check=False).stdout.split() or ["0"])[0])
