"""EC2: images of one's own: made once, complete, found by machines of their kind, removed with their snapshots."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from provision.cluster import builders, capturing
from provision.core.errors import CommandFailed, MusterError, ProviderError
from provision.fleet import own_images
from provision.providers.imaging import ImageState
from tests.emulators.ec2.images import DEBIAN, DEBIAN_ARM
from tests.fakes.bakery import Bakery, open_bakery
from tests.fakes.ec2 import Cloud, order
from tests.fakes.provider import SilentReporter


@pytest.fixture
def bakery(cloud: Cloud, hurry: None, monkeypatch: pytest.MonkeyPatch) -> Bakery:
    return open_bakery(cloud, monkeypatch)


def key_of(bakery: Bakery, group: str = "worker") -> str:
    return bakery.recipes()[group].key


def test_one_image_for_all_groups_of_one_recipe(bakery: Bakery) -> None:
    bakery.cloud.emulator.set(image_s=0.1, unseen_looks=2, pending_s=0.05, stopping_s=0.05)
    (made,) = bakery.bake()
    books = bakery.cloud.emulator.books()
    (image,), (snapshot,) = books["images"], books["snapshots"]
    key = key_of(bakery)
    assert (made.id, made.state, made.gb) == (image["id"], ImageState.READY, 20)
    assert image["disks"] == {"/dev/xvda": 20}
    assert image["name"] == f"muster-{key}-x86_64-{DEBIAN.removeprefix('ami-')}"
    told = {
        "muster:recipe": key,
        "muster:base": DEBIAN,
        "muster:architecture": "x86_64",
        "muster:gpu": "false",
    }
    assert told.items() <= image["tags"].items() and image["tags"] == snapshot["tags"]
    assert "muster:cluster-id" not in image["tags"]
    assert len(bakery.installed) == len(bakery.cleaned) == len(books["orders"]) == 1
    assert bakery.cleaned == [f"{bakery.installed[0]}-master"]
    bakery.no_builder()


def test_what_is_there_is_not_made_again(bakery: Bakery) -> None:
    first = bakery.bake()
    assert bakery.bake() == first
    books = bakery.cloud.emulator.books()
    assert len(books["orders"]) == len(books["images"]) == books["calls"]["CreateImage"] == 1


def test_a_builder_is_one_machine_on_demand_that_ends_by_itself(
    bakery: Bakery, monkeypatch: pytest.MonkeyPatch
) -> None:
    bakery.keys["groups"] = {"worker": {"instance_type": "t3.small", "spot": True}, "master": {"instance_type": "t3.small", "data_disk_gb": 50}}  # fmt: skip
    bakery.keys["ec2"] = {"tags": {"project": "eyes"}, "instance_profile": "role-of-theirs"}
    seen: list[dict[str, object]] = []
    monkeypatch.setattr(builders, "install", lambda *_: seen.extend(bakery.cloud.emulator.alive()))
    bakery.bake()
    (machine,) = seen
    assert (machine["market"], machine["type"], machine["image"]) == ("on-demand", "t3.small", DEBIAN)
    assert machine["shutdown"] == "terminate" and not machine["profile"]
    told = machine["tags"]
    assert isinstance(told, dict) and told["project"] == "eyes" and told["muster:cluster"].startswith("bake-")
    left = float(told["muster:label:deadline"]) - datetime.now(tz=UTC).timestamp()
    assert 3 * 3600 < left <= 4 * 3600


def test_each_architecture_and_kind_has_an_image_of_its_own(bakery: Bakery) -> None:
    bakery.keys["groups"] = {
        "worker": {"instance_type": ["t3.small", "t4g.small"], "data_disk_gb": 10},
        "gpu": {"count": 1, "instance_type": "g4dn.xlarge"},
    }
    wishes = bakery.wishes()
    found = {(wish.tags["muster:architecture"], wish.tags["muster:gpu"]): wish.groups for wish in wishes}
    assert found == {
        ("x86_64", "false"): ("master", "worker"), ("arm64", "false"): ("worker",), ("x86_64", "true"): ("gpu",),
    }  # fmt: skip
    assert len({wish.name for wish in wishes}) == len({capturing.builder_name(wish) for wish in wishes}) == 3
    assert {wish.group["image"] for wish in wishes if "arm64" in wish.name} == {DEBIAN_ARM}


def test_a_group_that_names_an_image_needs_none(bakery: Bakery) -> None:
    bakery.keys["groups"] = {"worker": {"instance_type": "t3.small", "image": DEBIAN}}
    (wish,) = bakery.wishes()
    assert wish.groups == ("master",)


def test_machines_start_from_it(bakery: Bakery) -> None:
    (image,) = bakery.bake()
    provider = bakery.cloud.provider()
    made = provider.create(order(provider, image=key_of(bakery)))
    assert {machine.image for machine in made} == {key_of(bakery)}
    assert {one["image"] for one in bakery.cloud.emulator.alive()} == {image.id}


def test_an_image_with_drivers_is_for_machines_with_a_gpu_alone(bakery: Bakery) -> None:
    bakery.keys["groups"] = {"gpu": {"count": 1, "instance_type": "g4dn.xlarge"}}
    (wish,) = [wish for wish in bakery.wishes() if wish.tags["muster:gpu"] == "true"]
    provider = bakery.provider()
    recipe = bakery.recipes()["gpu"]
    (image,) = capturing.Baking(provider.spec, "ec2", provider.image_maker(), SilentReporter()).ensure(
        wish, recipe
    )
    groups = {"gpu": {"count": 1, "instance_type": "g4dn.xlarge"}}
    for group, right in (("worker", False), ("gpu", True)):
        own = bakery.cloud.provider(groups=groups)
        own.create(order(own, group, 1, image=recipe.key, token=group[0] * 32))
        (made,) = [one for one in bakery.cloud.emulator.alive() if group in one["tags"]["Name"]]
        assert (made["image"] == image.id) is right, group


def test_copies_for_other_regions(bakery: Bakery) -> None:
    bakery.cloud.emulator.set(image_s=0.05, unseen_looks=1)
    bakery.keys["groups"] = {"worker": {"instance_type": "t3.small", "region": "eu-central-1"}}
    made = bakery.bake("us-east-1")
    assert bakery.bake("us-east-1") == made
    books = bakery.cloud.emulator.books()
    assert [image.place for image in made] == ["eu-west-1", "eu-central-1", "us-east-1"]
    assert [image["tags"] for image in books["images"]] == [books["images"][0]["tags"]] * 3
    assert (books["calls"]["CreateImage"], books["calls"]["CopyImage"], len(books["orders"])) == (1, 2, 1)
    assert len(books["snapshots"]) == 3
    bakery.no_builder()


def test_a_copy_that_was_removed_is_made_anew(bakery: Bakery, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client token of the one that is gone makes no other."""
    monkeypatch.setattr("provision.providers.ec2.own_images._FREE_S", 0.1)
    _, copy = bakery.bake("us-east-1")
    bakery.provider().image_maker().remove(copy)
    _, again = bakery.bake("us-east-1")
    assert (again.place, again.state) == ("us-east-1", ImageState.READY) and again.id != copy.id
    assert len(bakery.cloud.emulator.books()["images"]) == 2
    bakery.no_builder()


def test_images_of_regions_that_the_config_has_left_are_seen(bakery: Bakery) -> None:
    bakery.bake()
    bakery.keys["ec2"] = {"region": "us-east-1"}
    (there,) = own_images.look([bakery.cloud.spec(**bakery.keys)], lambda *_: bakery.provider())
    assert there.image.place == "eu-west-1"


def test_an_install_step_that_fails_leaves_nothing(bakery: Bakery, monkeypatch: pytest.MonkeyPatch) -> None:
    def install(*_: object) -> None:
        raise CommandFailed(what="no package called helllo")

    monkeypatch.setattr(builders, "install", install)
    with pytest.raises(CommandFailed, match="helllo"):
        bakery.bake()
    assert bakery.cloud.emulator.books()["images"] == []
    bakery.no_builder()


def test_a_builder_that_cannot_be_deleted_is_named(bakery: Bakery, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(SilentReporter, "say", lambda _, text: said.append(text))

    def install(*_: object) -> None:
        bakery.cloud.emulator.fault("TerminateInstances", "error", code="UnauthorizedOperation")
        raise CommandFailed(what="no package called helllo")

    monkeypatch.setattr(builders, "install", install)
    with pytest.raises(CommandFailed, match="helllo"):
        bakery.bake()
    (name,) = capturing.left_builders()
    assert any(name in line and "reap" in line for line in said)
    capturing.end_builders([name], SilentReporter())
    bakery.no_builder()


def test_an_image_that_fails_is_told_and_made_anew_of_the_same_builder(bakery: Bakery) -> None:
    emulator = bakery.cloud.emulator
    emulator.set(image_fails="Client.InternalError: Client error on launch")
    with pytest.raises(ProviderError, match="could not be made .Client.InternalError"):
        bakery.bake()
    emulator.set(image_fails="")
    (made,) = bakery.bake()
    books = emulator.books()
    assert [image["id"] for image in books["images"]] == [made.id]
    assert len(books["snapshots"]) == len(books["orders"]) == len(bakery.installed) == 1
    bakery.no_builder()


def test_what_is_needed_costs_and_stays(bakery: Bakery) -> None:
    bakery.bake("eu-central-1")
    spec = bakery.cloud.spec()
    found = own_images.look([spec], lambda *_: bakery.provider())
    assert sorted(one.image.place for one in found) == ["eu-central-1", "eu-west-1"], (
        "copies are not forgotten"
    )
    dollars = {"eu-central-1": 1.08, "eu-west-1": 1.0}
    for there in found:
        assert there.needed and there.image.monthly == pytest.approx(dollars[there.image.place], rel=1e-3)
        assert "list price" in there.image.price
        assert own_images.unused([there], there.image.owner) == []


def test_of_another_recipe_it_goes_with_its_snapshot(bakery: Bakery) -> None:
    bakery.bake()
    other = bakery.cloud.spec(packages={"apt": ["hello"]})
    (there,) = own_images.look([other], lambda *_: bakery.provider())
    assert not there.needed
    assert own_images.unused([there], "somebody-else") == [], "it is not this clone's"
    assert own_images.unused([there], "somebody-else", everybody=True) == [there]
    said: list[str] = []
    assert own_images.remove(own_images.unused([there], there.image.owner), said.append) == {}
    books = bakery.cloud.emulator.books()
    assert books["images"] == books["snapshots"] == [] and there.image.name in said[0]
    there.maker.remove(there.image)  # again


def test_the_older_one_of_a_recipe_goes(bakery: Bakery, monkeypatch: pytest.MonkeyPatch) -> None:
    """A newer image of the Debian project makes a newer one of ours."""
    bakery.bake()
    monkeypatch.setattr(
        "provision.providers.ec2.images.DEBIAN", ("136693071363", {"x86_64": "debian-13-amd64-20260711*"})
    )
    bakery.bake()
    there = own_images.look([bakery.cloud.spec()], lambda *_: bakery.provider())
    assert [(one.needed, one.image.base) for one in there] == [
        (True, "ami-0deb1300000000000"),
        (False, DEBIAN),
    ]


def test_a_removal_that_was_cut_short_is_finished(bakery: Bakery) -> None:
    """Deregistered, an image's snapshots are known by their tags alone, and bill on."""
    bakery.bake()
    bakery.cloud.emulator.fault("DeleteSnapshot", "error", code="UnauthorizedOperation")
    other = bakery.cloud.spec(packages={"apt": ["hello"]})

    def look() -> list[own_images.There]:
        return own_images.look([other], lambda *_: bakery.provider())

    failed = own_images.remove(look(), lambda _: None)
    assert len(failed) == 1 and bakery.cloud.emulator.books()["images"] == []
    (left,) = look()
    assert (left.image.state, left.image.id, left.needed, left.image.gb) == (ImageState.LEFT, "", False, 20)
    assert own_images.remove(own_images.unused([left], left.image.owner), lambda _: None) == {}
    assert bakery.cloud.emulator.books()["snapshots"] == [] and look() == []


def test_a_stopped_builder_is_seen_as_off(bakery: Bakery) -> None:
    """What the image is asked for is a machine that is off: one that runs would be rebooted half-way."""
    bakery.cloud.emulator.set(stopping_s=0.2)
    bakery.bake()
    assert bakery.cloud.emulator.books()["violations"] == []


def test_names_that_somebody_else_has_taken(bakery: Bakery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provision.providers.ec2.own_images._FREE_S", 0.1)
    bakery.cloud.emulator.fault("CreateImage", "error", code="InvalidAMIName.Duplicate", times=9)
    with pytest.raises(MusterError, match="lists none that is yours"):
        bakery.bake()
    bakery.cloud.emulator.faults([])
    bakery.bake()
    bakery.no_builder()
