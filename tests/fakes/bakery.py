"""What the tests of baking at EC2 share: everything is as it is, but for SSH and Ansible."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from provision import providers
from provision.cluster import builders, capturing
from provision.core.names import LOGIN_USER
from provision.core.paths import images_folder
from provision.images.recipe import Recipe, node_recipe
from provision.providers.ec2.provider import Ec2Provider
from provision.providers.imaging import OwnImage, Wish
from tests.fakes.ec2 import Cloud, NoSsh
from tests.fakes.provider import SilentReporter


@dataclass
class Bakery:
    """Bakes for the config of a cloud. `installed`, `cleaned`: what was done to builders, by machine."""

    cloud: Cloud
    installed: list[str] = field(default_factory=list)
    cleaned: list[str] = field(default_factory=list)
    keys: dict[str, Any] = field(default_factory=dict)

    def provider(self) -> Ec2Provider:
        """Return the provider as `images` has it: without any cluster's notes."""
        made = providers.load("ec2", self.cloud.spec(**self.keys), images_folder(self.cloud.folder / "state"))
        assert isinstance(made, Ec2Provider)
        return made

    def recipes(self) -> dict[str, Recipe]:
        spec = self.cloud.spec(**self.keys)
        return {group.name: node_recipe(spec, group) for group in spec.groups}

    def wishes(self, *places: str) -> list[Wish]:
        own = {name: recipe.key for name, recipe in self.recipes().items()}
        return list(self.provider().image_maker().wishes(own, places))

    def bake(self, *places: str) -> list[OwnImage]:
        """Do what `images bake` does."""
        provider = self.provider()
        work = capturing.Baking(provider.spec, "ec2", provider.image_maker(), SilentReporter())
        recipes = {recipe.key: recipe for recipe in self.recipes().values()}
        return [image for wish in self.wishes(*places) for image in work.ensure(wish, recipes[wish.recipe])]

    def no_builder(self) -> None:
        """Assert that nothing of a builder is left, at AWS or here."""
        assert self.cloud.emulator.left_over() == []
        assert self.cloud.emulator.books()["violations"] == []
        assert not list((self.cloud.folder / "state").glob("bake-*"))


def open_bakery(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, **keys: Any) -> Bakery:
    """Return a bakery whose builders are real ones of the emulator; SSH and Ansible are not."""
    bakery = Bakery(cloud, keys=keys)

    def install(recipe: Recipe, inventory: Path, reporter: Any) -> None:
        bakery.installed.append(inventory.stem)

    def run_on(config: Path, machine: str, script: str, *, given: str, user: str, timeout_s: float) -> str:
        assert script == "sudo python3 - now" and "OF_ONE_MACHINE" in given and user == LOGIN_USER
        bakery.cleaned.append(machine)
        return ""

    monkeypatch.setattr(builders, "Reach", NoSsh)
    monkeypatch.setattr(builders, "install", install)
    monkeypatch.setattr(capturing, "run_on", run_on)
    monkeypatch.setattr(builders, "project_root", lambda *_: cloud.folder)
    return bakery
