"""Images of one's own at all accounts that configs name: those there are, and those that no config needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from provision.core.errors import MusterError, NotReady, ProviderError
from provision.core.spec import ClusterSpec
from provision.images.recipe import node_recipe
from provision.providers.base import Provider
from provision.providers.facts import facts_of
from provision.providers.imaging import ImageMaker, ImageState, OwnImage

Load = Callable[[str, ClusterSpec], Provider]


@dataclass(frozen=True)
class There:
    """An image, and what can remove it. `needed`: machines of some config would start from it."""

    provider: str
    maker: ImageMaker
    image: OwnImage
    needed: bool


def look(
    specs: Sequence[ClusterSpec],
    provider_of: Load,
    configs: Iterable[ClusterSpec] = (),
    left_out: Callable[[str], None] | None = None,
) -> list[There]:
    """Return the images at the accounts of these configs, the newest first.

    An image is needed when its recipe is that of a group in one of the configs, and none is newer.

    Args:
        specs: whose accounts are asked.
        provider_of: returns a provider by name, for a config.
        configs: configs that need images, besides.
        left_out: told of each account that cannot be asked.

    Raises:
        ProviderError, NotReady: an account cannot be asked, and there is no `left_out`.
    """
    keys = {
        node_recipe(spec, group).key
        for spec in {each.path: each for each in (*specs, *configs)}.values()
        for group in spec.groups
        if not facts_of(group.provider).here
    }
    found: dict[tuple[str, str, str, str], tuple[str, ImageMaker, OwnImage]] = {}
    for spec in specs:
        for name in sorted({group.provider for group in spec.groups}):
            maker = None if facts_of(name).here else provider_of(name, spec).image_maker()
            if maker is None:
                continue
            try:
                for image in maker.everything():
                    found.setdefault((name, image.place, image.id, image.name), (name, maker, image))
            except (NotReady, ProviderError) as error:
                if left_out is None:
                    raise
                left_out(f"images of {spec.name} at {name}: {error}")
    newest: set[tuple[str, ...]] = set()
    there = []
    for name, maker, image in sorted(found.values(), key=lambda one: -one[2].created):
        key = (name, image.place, image.recipe, image.architecture, str(image.gpu))
        usable = image.state in (ImageState.READY, ImageState.MAKING)
        there.append(There(name, maker, image, usable and image.recipe in keys and key not in newest))
        newest |= {key} if image.state is ImageState.READY else set()
    return there


def unused(there: Iterable[There], mark: str, *, everybody: bool = False) -> list[There]:
    """Return the images that no config needs.

    Args:
        there: all images.
        mark: `owner_mark` of the folder of states: other people on the account have configs of their own, and
            what they have made stays.
        everybody: that goes, too.
    """
    return [each for each in there if not each.needed and (everybody or each.image.owner == mark)]


def remove(images: Iterable[There], say: Callable[[str], None]) -> dict[str, MusterError]:
    """Remove images with their data, each as far as it goes; return what went wrong, by their names."""
    failed: dict[str, MusterError] = {}
    for each in images:
        shown = f"{each.image.name} in {each.image.place}"
        try:
            each.maker.remove(each.image)
            say(f"removed {shown}")
        except MusterError as error:
            say(f"{shown}: {error}")
            failed[shown] = error
    return failed
