"""Images at a provider: a builder is made, installed, cleaned and powered off; its disk becomes the image.

    machine ──> installed ──> clean ──> off ──> image: making ──> ready ──> builder deleted ──> copies

The builder's journal has what cannot be seen from outside: that cleaning was begun (nobody logs in any more;
a builder that is not off then is deleted, and made anew) and that it is off and clean (the image may be asked
for; an image's name is unique, so asking again makes no second one). Killed at any step, the same command
goes on. Should nobody say it again, a builder that runs ends by itself after some hours; of one that is off
the disk bills, until the next bake or reap.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from muster_node import clean
from provision.cluster import builders
from provision.core import files
from provision.core.errors import MusterError, ProviderError, TimedOut
from provision.core.model import Machine, NodeState
from provision.core.names import LOGIN_USER, MASTER, machine_name
from provision.core.paths import images_folder, owner_mark
from provision.core.reporter import Reporter
from provision.core.spec import ClusterSpec
from provision.core.text import names_of
from provision.core.wait import until
from provision.images.recipe import Recipe
from provision.providers.imaging import ImageMaker, ImageState, OwnImage, Wish
from provision.ssh.run import run_on
from provision.state.journal import new_token

BUILDER = "bake-"
"""What the names of builders begin with."""
CLEAN, CAPTURE = "clean", "capture"
"""Verbs of the builder's journal."""
LIFE = "4h"
"""After which a builder that runs ends by itself."""
READY_S = 3600.0
"""Seconds until an image, or a copy of one, is ready; it takes 5 to 15 minutes."""
_CLEAN_S = 300.0


@dataclass(frozen=True)
class Baking:
    """Makes wished images one after another.

    Args:
        spec: the config that needs them.
        provider: where.
        maker: the provider's.
        reporter: told phases and progress.
    """

    spec: ClusterSpec
    provider: str
    maker: ImageMaker
    reporter: Reporter

    def ensure(self, wish: Wish, recipe: Recipe) -> list[OwnImage]:
        """Make the image unless it is there, and its copies; return all of them.

        Raises MusterError. Where an image was begun, the same call again goes on; else nothing is left.
        """
        file = builders.config_of(builder_name(wish))
        with builders.locked(files.private_folder(_locks()), file.stem, self.reporter):
            found = self._there(wish, wish.place)
            if found is None:
                machine = self._prepared(file, wish, recipe)
                with self.reporter.phase("image", wish.name):
                    self.maker.capture(wish, machine, owner_mark(file.parent))
            images = [self._ready(wish, wish.place)]
            builders.end(file, self.reporter)
        for place in wish.copies:
            if self._there(wish, place) is None:
                self.maker.copy(wish, images[0], place)
        return images + [self._ready(wish, place) for place in wish.copies]

    def _there(self, wish: Wish, place: str) -> OwnImage | None:
        """Return the image, which may not be ready yet; one that has failed is removed."""
        found = self.maker.find(wish, place)
        if found is None or found.state is not ImageState.FAILED:
            return found
        self.reporter.say(f"{wish.name} in {place} had failed ({found.why or 'no reason given'}): made anew")
        self.maker.remove(found)
        return None

    def _prepared(self, file: Path, wish: Wish, recipe: Recipe) -> Machine:
        """Return the builder, installed, clean and off. What fails before that leaves nothing behind."""
        verbs = _begun(file, self.reporter)
        if CAPTURE in verbs and "destroy" not in verbs and (machine := _off(file, self.reporter)):
            return machine
        if CLEAN in verbs:
            builders.end(file, self.reporter)
        try:
            return self._build(file, wish, recipe)
        except (MusterError, KeyboardInterrupt):
            self._give_up(file)
            raise

    def _build(self, file: Path, wish: Wish, recipe: Recipe) -> Machine:
        builders.write_config(
            file,
            self.provider,
            {"cores": 1, "memory_gb": 1, **wish.group},
            ttl=LIFE,
            allow_from=list(self.spec.allow_from),
            **{self.provider: dict(wish.block)},
        )
        cluster = builders.builder(file, self.reporter)
        cluster.ensure()
        with self.reporter.phase("bake", f"for {names_of(wish.groups)}: {', '.join(recipe.all_roles)}"):
            builders.install(recipe, file, self.reporter)
        journal, token = cluster.state.journal, new_token()
        journal.open(CLEAN, token=token)
        run_on(
            cluster.state.ssh_config,
            machine_name(cluster.spec.name, MASTER, 0),
            "sudo python3 - now",
            given=Path(clean.__file__).read_text(encoding="utf-8"),
            user=LOGIN_USER,
            timeout_s=_CLEAN_S,
        )
        cluster.stop(force=True)
        journal.open(CAPTURE, token=new_token(), names=(wish.name,))
        file.with_suffix(".log").unlink(missing_ok=True)
        machine = _off(file, self.reporter)
        if machine is None:
            raise ProviderError(
                provider=self.provider,
                where=cluster.spec.name,
                what="the builder was off and is so no more",
                remedy="Run the same command again",
            )
        return machine

    def _ready(self, wish: Wish, place: str) -> OwnImage:
        """Wait until an image is ready. Raises TimedOut, ProviderError: the same command again goes on."""

        def ended() -> OwnImage | None:
            found = self.maker.find(wish, place)
            return None if found is None or found.state is ImageState.MAKING else found

        with self.reporter.phase("image", f"{wish.name} in {place}"):
            image = until(ended, deadline_s=READY_S, interval_s=2.0, growth=1.3, longest_s=30)
        if image is None:
            raise TimedOut(
                where=f"{wish.name} in {place}",
                what=f"the image is not ready after {READY_S:g} s",
                seconds=READY_S,
                remedy="Run the same command again: it goes on waiting",
            )
        if image.state is not ImageState.READY:
            raise ProviderError(
                provider=self.provider,
                where=f"{wish.name} in {place}",
                what=f"the image could not be made ({image.why or 'no reason given'})",
                remedy="Run the same command again, which removes it and tries anew",
            )
        return image

    def _give_up(self, file: Path) -> None:
        try:
            builders.end(file, self.reporter)
        except MusterError as error:
            self.reporter.say(
                f"the builder {file.stem} may still be there ({error}); ./muster reap deletes it"
            )


def builder_name(wish: Wish) -> str:
    """Return the name of a wished image's builder."""
    return BUILDER + hashlib.sha256(f"{wish.place} {wish.name}".encode()).hexdigest()[:8]


def left_builders() -> list[str]:
    """Return the names of the builders whose bake was killed; none of them is at work."""
    return [file.stem for file in builders.left(BUILDER, _locks())]


def end_builders(names: Sequence[str], reporter: Reporter) -> dict[str, MusterError]:
    """Delete builders whose bake was killed, as far as it goes; return what went wrong, by their names."""
    failed: dict[str, MusterError] = {}
    for file in builders.left(BUILDER, _locks()):
        if file.stem in names:
            try:
                builders.end(file, reporter)
            except MusterError as error:
                reporter.say(f"{file.stem}: {error}")
                failed[file.stem] = error
    return failed


def _locks() -> Path:
    return images_folder(builders.config_of(BUILDER).parent)


def _begun(file: Path, reporter: Reporter) -> set[str]:
    """Return which steps of a builder were begun."""
    if not file.exists():
        return set()
    view = builders.builder(file, reporter).state.journal.read()
    return {intent.verb for intent in view.intents.values()}


def _off(file: Path, reporter: Reporter) -> Machine | None:
    """Return the builder if it is there and off."""
    machines = [node.machine for node in builders.builder(file, reporter).view.nodes]
    return next((machine for machine in machines if machine.state is NodeState.STOPPED), None)
