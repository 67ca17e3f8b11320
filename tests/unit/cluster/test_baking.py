"""Baking on this computer: when a layer is made anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.cluster import baking
from provision.core.errors import MusterError
from provision.images.recipe import Recipe
from tests.fakes.provider import SilentReporter


@pytest.mark.parametrize(("days", "baked"), [(None, True), (29, False), (31, True)])
def test_a_layer_is_made_anew_after_thirty_days(
    days: int | None, baked: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    recipe, made = Recipe(roles=("base",)), list[str]()
    images = (
        []
        if days is None
        else [{"kind": "layer", "key": recipe.key, "usable": True, "age_s": days * 86400.0}]
    )
    monkeypatch.setattr(baking.local_images, "list_images", lambda: images)
    monkeypatch.setattr(baking.cache, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(baking, "_sweep", lambda reporter: None)
    monkeypatch.setattr(baking, "_bake", lambda recipe, name, reporter: made.append(name))
    assert baking.ensure(recipe, SilentReporter()) == recipe.key
    assert bool(made) == baked


def test_the_layer_beneath_is_made_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    recipe, made = Recipe(roles=("base",), features=("tracking",)), list[Recipe]()
    monkeypatch.setattr(baking.local_images, "list_images", list)
    monkeypatch.setattr(baking.cache, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(baking, "_sweep", lambda reporter: None)
    monkeypatch.setattr(baking, "_bake", lambda recipe, name, reporter: made.append(recipe))
    assert baking.ensure(recipe, SilentReporter()) == recipe.key
    assert made == [recipe.beneath, recipe]


@pytest.mark.parametrize("known", [True, False])
def test_an_old_layer_is_kept_when_it_cannot_be_renewed(
    known: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    recipe = Recipe(roles=("base",))
    images = [{"kind": "layer", "key": recipe.key, "usable": known, "age_s": 99 * 86400.0}]
    monkeypatch.setattr(baking.local_images, "list_images", lambda: images)
    monkeypatch.setattr(baking.cache, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(baking, "_sweep", lambda reporter: None)

    def offline(*_: object) -> None:
        raise MusterError(what="no network")

    monkeypatch.setattr(baking, "_bake", offline)
    if known:
        assert baking.ensure(recipe, SilentReporter()) == recipe.key
    else:
        with pytest.raises(MusterError, match="no network"):
            baking.ensure(recipe, SilentReporter())


def test_what_a_bake_took_is_kept_with_its_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = Recipe(roles=("base",))
    image = {"kind": "layer", "key": recipe.key, "usable": True, "meta": {"seconds": {"java": 9.5}}}
    monkeypatch.setattr(baking.local_images, "list_images", lambda: [image])
    assert baking.seconds_of(recipe) == {"java": 9.5}
    image["meta"] = {"roles": ["base"]}
    assert baking.seconds_of(recipe) == {}, "made by an older version"
    assert baking.seconds_of(Recipe(roles=("java",))) == {}
