"""Images of this computer: a base system plus a baked layer of what the roles' `install` parts put there.

A layer is known by its recipe key: the digest of everything that decides its content. The same `install`
parts run on a node that was booted from anything else, so there is one code path.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from provision.cluster import builders
from provision.core import files
from provision.core.errors import MusterError
from provision.core.reporter import Reporter
from provision.images import cache
from provision.images.recipe import Recipe
from provision.providers.local import images as local_images
from provision.providers.local.facts import FACTS

# What a builder needs while packages are unpacked and class-data archives are made.
BUILDER_SIZE = {"cores": 2, "memory_gb": 3}
RENEW_S = 30 * 86400.0
BUILDER = "image-"
"""What the names of builders begin with."""


def ensure(recipe: Recipe, reporter: Reporter) -> str:
    """Make the layer of `recipe`, and the one beneath it, unless it is there already; return its key.

    One that is 30 days old is made anew, with what was mended in its packages since, if that succeeds.
    Raises MusterError subclasses: no network, no room, or a package or set-up script that failed.
    """
    _sweep(reporter)
    if _is_fresh(recipe):
        return recipe.key
    if recipe.beneath:
        ensure(recipe.beneath, reporter)
    name = f"{BUILDER}{recipe.key[:8]}"
    with builders.locked(_locks(), name, reporter):
        if not _is_fresh(recipe):
            try:
                _bake(recipe, name, reporter)
            except MusterError as error:
                if recipe.key not in local_images.layers():
                    raise
                reporter.say(f"the image {recipe.key} is old and could not be renewed; kept ({error})")
    return recipe.key


def _is_fresh(recipe: Recipe) -> bool:
    return recipe.key in local_images.layers(younger_than_s=RENEW_S)


def seconds_of(recipe: Recipe) -> dict[str, float]:
    """Return what making the layer of `recipe` took, by part; {} when that is not known."""
    found = [image for image in local_images.list_images() if image["key"] == recipe.key and image["usable"]]
    return dict(found[0]["meta"].get("seconds", {})) if found else {}


def _bake(recipe: Recipe, name: str, reporter: Reporter) -> None:
    begin = time.monotonic()
    with ThreadPoolExecutor(max_workers=1) as pool:
        fetching = pool.submit(_fetch_artifacts, recipe, reporter)
        with reporter.phase("base image", "a Debian system, once for all clusters"):
            local_images.ensure_base(reporter)
        fetching.result()
    file = builders.write_config(builders.config_of(name), FACTS.name, BUILDER_SIZE)
    cluster = builders.builder(file, reporter, image=recipe.beneath.key if recipe.beneath else "")
    cluster.destroy(force=True)  # what a killed run left
    took = {"Base image and downloads": time.monotonic() - begin}
    try:
        began = time.monotonic()
        cluster.ensure()
        took["Boot the builder"] = time.monotonic() - began
        with reporter.phase("bake", ", ".join(recipe.features or recipe.roles)):
            took |= builders.install(recipe, file, reporter, local_images.no_room)
        local_images.commit(
            cluster.view.identity, recipe.key, {"roles": list(recipe.all_roles), "seconds": took}
        )
        file.with_suffix(".log").unlink()
    finally:
        builders.end(file, reporter)


def _sweep(reporter: Reporter) -> None:
    """Delete the builders of bakes that were killed; those that are at work are locked."""
    for file in builders.left(BUILDER, _locks()):
        builders.end(file, reporter)


def _fetch_artifacts(recipe: Recipe, reporter: Reporter) -> None:
    if "hdfs" in recipe.roles:
        with reporter.phase("artifacts", "Hadoop and Spark"):
            cache.fetch_all(reporter)


def _locks() -> Path:
    """Return where locks lie that all states of this user on this computer share."""
    return files.private_folder(cache.cache_folder(), readable=True)  # machines read it
