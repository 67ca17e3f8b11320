"""images: what machines start from with everything installed; made, listed, removed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from provision.commands.invocation import Invocation, invocation_of
from provision.commands.options import AsJson, Yes
from provision.commands.output import confirm, examples, print_json, print_result, say
from provision.core.errors import ConfigError, NotAllReaped
from provision.core.paths import PROJECT, images_folder, owner_mark, states_folder
from provision.core.progress import waiting
from provision.core.text import duration, money, size, table

if TYPE_CHECKING:
    from provision.core.spec import ClusterSpec, NodeGroup
    from provision.fleet.own_images import There
    from provision.providers.base import Provider
    from provision.providers.imaging import OwnImage


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    images = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        help="Make, list or remove the images that nodes boot from with everything installed.",
    )
    images.command(
        "bake",
        epilog=examples(
            "-i inventories/ec2.yml images bake                          for all groups that have machines",
            "-i inventories/ec2.yml images bake gpu                      for this group",
            "-i inventories/ec2.yml images bake --region eu-west-1       and a copy there",
        ),
    )(bake)
    images.command("list", epilog=examples("images list", "-i inventories/ec2.yml images list --json"))(
        list_images
    )
    images.command("prune", epilog=examples("images prune", "-i inventories/ec2.yml images prune"))(prune)
    app.add_typer(images, name="images", epilog=examples("images bake", "images list", "images prune"))


def bake(
    context: typer.Context,
    groups: Annotated[
        list[str] | None,
        typer.Argument(metavar="[GROUP]...", help="Default: all that have machines."),
    ] = None,
    region: Annotated[
        list[str] | None,
        typer.Option("--region", help="A copy there, too; may be said again. The groups' own need none."),
    ] = None,
) -> None:
    """Make the images that the config's groups start from; those that need the same share one.

    At a cloud a machine is made, everything installed on it, and its disk kept; that takes a quarter of an
    hour and more. Interrupted, the same command goes on.
    """
    from provision.cluster import baking, capturing
    from provision.images.recipe import node_recipe
    from provision.providers.facts import facts_of
    from provision.state.timeline import ConsoleReporter

    spec, reporter = invocation_of(context).spec(), ConsoleReporter(say)
    wanted = _groups(spec, groups or ())
    recipes = {group.name: node_recipe(spec, group) for group in wanted}
    keys = {recipe.key: recipe for recipe in recipes.values()}
    made: list[OwnImage] = []
    for name in dict.fromkeys(group.provider for group in wanted):
        own = {group.name: recipes[group.name].key for group in wanted if group.provider == name}
        if facts_of(name).here:
            for key in dict.fromkeys(own.values()):
                say(f"{baking.ensure(keys[key], reporter)} is ready on this computer")
            continue
        maker = _provider(name, spec).image_maker()
        if maker is None:
            say(facts_of(name).images)
            continue
        work = capturing.Baking(spec, name, maker, reporter)
        wishes = maker.wishes(own, region or ())
        for group in (group for group in own if not any(group in wish.groups for wish in wishes)):
            say(f"groups.{group}.image names an image, which its machines start from: none is made")
        for wish in wishes:
            made += work.ensure(wish, keys[wish.recipe])
        capturing.end_builders(capturing.left_builders(), reporter)
    for image in made:
        print_result(f"{image.name} ({image.id}) is ready in {image.place}: {_cost(image)}")


def list_images(context: typer.Context, as_json: AsJson = False) -> None:
    """List the images of the config's providers, newest first; those in the cloud with what they cost."""
    from provision.fleet import own_images

    invocation = invocation_of(context)
    spec = invocation.spec()
    here = _here() if _uses_this_computer(spec) else []
    configs = _configs(invocation)
    with waiting("asking providers for images"):
        there = own_images.look([spec], _provider, configs)
    if as_json:
        print_json([*here, *map(_as_json, there)])
        return
    if not here and not there:
        print_result(
            "No images yet; ./muster images bake makes them (on this computer, the first cluster does)."
        )
    if here:
        print_result(table(("IMAGE", "KIND", "SIZE", "AGE", "ROLES", "USED BY"), [*map(_row_here, here)]))
    if there:
        header = ("IMAGE", "RECIPE", "BASE", "WHERE", "STATE", "AGE", "SIZE", "A MONTH", "USE")
        print_result(table(header, [*map(_row_there, there)]))
        print_result(_total(there))


def prune(
    context: typer.Context,
    yes: Yes = False,
    everybody: Annotated[
        bool, typer.Option("--everybody", help="Also what other people on the account have made.")
    ] = False,
) -> None:
    """Remove the images that nothing uses, with their data; they are made anew when needed.

    On this computer: those without machines. At a cloud: those of recipes that no config file needs any
    more, and those that a newer one stands for.
    """
    from provision.providers.facts import facts_of

    invocation = invocation_of(context)
    spec = invocation.spec()
    if _uses_this_computer(spec):
        _prune_here(yes=yes)
    if not all(facts_of(group.provider).here for group in spec.groups):
        prune_clouds([spec], _configs(invocation), yes=yes, everybody=everybody)


def prune_clouds(
    specs: Sequence[ClusterSpec],
    configs: Sequence[ClusterSpec],
    *,
    yes: bool,
    everybody: bool = False,
    dry_run: bool = False,
    left_out: Callable[[str], None] | None = None,
) -> None:
    """Remove the images at the clouds of `specs` that no config of `configs` needs.

    `left_out` is told of accounts that cannot be asked; without it they are errors. Raises NotAllReaped.
    """
    from provision.fleet import own_images

    with waiting("asking providers for images"):
        there = own_images.look(specs, _provider, configs, left_out)
    found = own_images.unused(there, owner_mark(states_folder(PROJECT)), everybody=everybody)
    for each in found:
        say(f"{each.image.name} in {each.image.place} ({each.image.state.value}): {_cost(each.image)}")
    if not found:
        say("No image at a cloud is to be removed.")
    if not found or dry_run:
        return
    confirm(f"Remove {len(found)} image(s) with their data?", yes=yes)
    if failed := own_images.remove(found, say):
        raise NotAllReaped(
            what=f"{len(failed)} of {len(found)} image(s) are still there; the first one: "
            f"{next(iter(failed.values()))}",
            remedy="Run the same command again",
        )


def _groups(spec: ClusterSpec, names: Sequence[str]) -> list[NodeGroup]:
    known = {group.name: group for group in spec.groups}
    for name in names:
        if name not in known:
            raise ConfigError(
                file=spec.path,
                what=f"there is no group {name!r}",
                remedy=f"There are: {', '.join(known)}",
            )
    return [known[name] for name in names] or [group for group in spec.groups if spec.size(group)]


def _provider(name: str, spec: ClusterSpec) -> Provider:
    """Return a provider whose notes are of no cluster."""
    from provision import providers

    return providers.load(name, spec, images_folder(states_folder(PROJECT)))


def _uses_this_computer(spec: ClusterSpec) -> bool:
    from provision.providers.facts import facts_of

    return spec.object_store.here or any(facts_of(group.provider).here for group in spec.groups)


def _here() -> list[Any]:
    from provision.providers.local import images

    return list(images.list_images())


def _configs(invocation: Invocation) -> list[ClusterSpec]:
    """Return all configs of the project, which need images."""
    from provision.fleet import overview

    configs, unread = overview.configs(invocation.files())
    for line in unread:
        say(f"left out: {line}")
    return configs


def _prune_here(*, yes: bool) -> None:
    from provision.providers.local import images

    unused = [image for image in images.list_images() if not image["used_by"]]
    if not unused:
        say("Nothing to remove on this computer.")
        return
    names = ", ".join(image["key"] for image in unused)
    confirm(f"Remove {names} ({size(sum(image['bytes'] for image in unused))})?", yes=yes)
    with waiting("removing images"):
        removed = images.prune()
    say(f"Removed {', '.join(removed) or 'nothing'}.")


def _row_here(image: Any) -> tuple[object, ...]:  # noqa: ANN401  (the helper's own structure)
    used = image["used_by"]
    few = ", ".join(used[:2]) + (f" and {len(used) - 2} more" if len(used) > 2 else "") or "-"
    roles = ", ".join(map(str, image["meta"].get("roles", [])))
    return image["key"], image["kind"], size(image["bytes"]), duration(image["age_s"]), roles, few


def _row_there(each: There) -> tuple[object, ...]:
    image = each.image
    age = duration(time.time() - image.created)
    use = "needed" if each.needed else "none"
    shown = image.id or image.name
    return (
        shown, image.recipe, image.base, image.place, image.state.value, age, f"{image.gb} GB",
        money(image.monthly), use,
    )  # fmt: skip


def _as_json(each: There) -> dict[str, Any]:
    return {"provider": each.provider, **asdict(each.image), "needed": each.needed}


def _cost(image: OwnImage) -> str:
    return f"at most {image.gb} GB, {money(image.monthly)} a month"


def _total(there: Sequence[There]) -> str:
    known = [each.image.monthly for each in there]
    total = None if None in known else sum(filter(None, known))
    sources = "; ".join(dict.fromkeys(each.image.price or "price not known" for each in there))
    return f"At most {money(total)} a month, as if the disks were full; {sources}."
