"""EC2: images as typed: made, listed with what they cost, removed; and what reap does of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from provision import cli
from provision.cluster import builders, capturing
from provision.commands import images, invocation, reap
from provision.core.errors import CommandFailed
from tests.emulators.ec2.images import DEBIAN
from tests.fakes.bakery import Bakery, open_bakery
from tests.fakes.ec2 import Cloud
from tests.fakes.provider import KilledError


@pytest.fixture
def bakery(cloud: Cloud, hurry: None, monkeypatch: pytest.MonkeyPatch) -> Bakery:
    """Its config file is the only one of the project."""
    made = open_bakery(cloud, monkeypatch)
    for module in (images, invocation, reap):
        monkeypatch.setattr(module, "PROJECT", cloud.folder)
    (cloud.folder / "inventories").mkdir()
    cloud.spec()
    return made


def told(bakery: Bakery, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = cli.main(["-i", str(bakery.cloud.folder / "retina.yml"), *words])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_made_listed_and_kept(bakery: Bakery, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = told(bakery, capsys, "images", "bake", "--region", "us-east-1")
    assert status == 0 and out.count("at most 20 GB, $1.00 a month") == 2
    status, out, _ = told(bakery, capsys, "images", "list")
    rows = out.splitlines()
    key = bakery.recipes()["worker"].key
    assert status == 0 and len(rows) == 4 and "At most $2.00 a month" in rows[-1] and "list price" in rows[-1]
    for row, place in zip(
        sorted(rows[1:3], key=lambda row: "us-east-1" in row), ("eu-west-1", "us-east-1"), strict=True
    ):
        assert row.startswith("ami-") and {key, DEBIAN, place, "ready", "needed"} <= set(row.split()), row
    _, out, _ = told(bakery, capsys, "images", "list", "--json")
    found = json.loads(out)
    assert [(one["provider"], one["recipe"], one["needed"], one["gb"]) for one in found] == [
        ("ec2", key, True, 20)
    ] * 2
    status, _, said = told(bakery, capsys, "images", "prune", "--yes")
    assert status == 0 and "No image at a cloud is to be removed." in said


def test_what_no_config_needs_is_removed(bakery: Bakery, capsys: pytest.CaptureFixture[str]) -> None:
    told(bakery, capsys, "images", "bake")
    bakery.cloud.spec(packages={"apt": ["hello"]})
    status, _, said = told(bakery, capsys, "images", "prune")
    assert status == 1 and "Say --yes" in said and "$1.00 a month" in said
    assert len(bakery.cloud.emulator.books()["images"]) == 1
    status, _, said = told(bakery, capsys, "images", "prune", "--yes")
    assert status == 0 and "removed muster-" in said
    books = bakery.cloud.emulator.books()
    assert books["images"] == books["snapshots"] == []


def test_what_another_config_of_the_project_needs_stays(
    bakery: Bakery, capsys: pytest.CaptureFixture[str]
) -> None:
    told(bakery, capsys, "images", "bake")
    (bakery.cloud.folder / "inventories" / "other.yml").write_text(
        (bakery.cloud.folder / "retina.yml").read_text()
    )
    bakery.cloud.spec(cluster="lens", packages={"apt": ["hello"]})
    status, _, said = told(bakery, capsys, "images", "prune", "--yes")
    assert status == 0 and "No image at a cloud is to be removed." in said


def test_groups_by_name(bakery: Bakery, capsys: pytest.CaptureFixture[str]) -> None:
    """A group without machines has an image made for it when it is named."""
    bakery.cloud.spec(groups={"gpu": {"count": 0, "instance_type": "g4dn.xlarge"}, "worker": {"instance_type": "t3.small", "image": DEBIAN}})  # fmt: skip
    status, out, said = told(bakery, capsys, "images", "bake", "worker", "gpu")
    assert status == 0 and out.count("is ready in") == 1 and "x86_64-gpu" in out
    assert "groups.worker.image names an image" in said
    status, _, said = told(bakery, capsys, "images", "bake", "wroker")
    assert status == 1 and "there is no group 'wroker'. There are: master, worker, gpu" in said


def test_a_failure_names_the_log(
    bakery: Bakery, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def install(_: object, inventory: Path, __: object) -> None:
        raise CommandFailed(what="no package called helllo", where=str(inventory.with_suffix(".log")))

    monkeypatch.setattr(builders, "install", install)
    status, _, said = told(bakery, capsys, "images", "bake")
    assert status == 1 and "bake-" in said and "helllo" in said
    bakery.no_builder()


def test_what_a_killed_bake_left_is_reaped(
    bakery: Bakery, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KilledError

    monkeypatch.setattr(builders, "install", killed)
    with pytest.raises(KilledError):
        bakery.bake()
    (builder,) = capturing.left_builders()
    status, _, said = told(bakery, capsys, "reap", "--dry-run")
    assert status == 0 and f"{builder}, of an `images bake` that was killed" in said
    assert len(bakery.cloud.emulator.alive()) == 1
    with builders.locked(bakery.cloud.folder / "state" / ".images", builder):
        status, _, said = told(bakery, capsys, "reap", "--yes")
        assert status == 0 and "Nothing has outlived its time." in said, "it is at work"
    status, out, _ = told(bakery, capsys, "reap", "--yes", "--json")
    assert status == 0 and json.loads(out) == []
    bakery.no_builder()


def test_a_builder_that_cannot_be_deleted_is_told_when_all_is_done(
    bakery: Bakery, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bake ends well beside it, and reap goes on to the images."""
    told(bakery, capsys, "images", "bake")
    bakery.cloud.spec(packages={"apt": ["hello"]})
    with monkeypatch.context() as patched:
        patched.setattr(builders, "install", lambda *_: (_ for _ in ()).throw(KilledError()))
        with pytest.raises(KilledError):
            told(bakery, capsys, "images", "bake")
    (builder,) = capturing.left_builders()
    refused: list[str] = ["ec2:TerminateInstances"]
    bakery.cloud.emulator.set(denied=refused)
    status, _, said = told(bakery, capsys, "reap", "--images", "--yes")
    assert status == 1 and "removed muster-" in said
    assert "1 of 1 cluster(s) are still there" in said and f"{builder}: " in said
    bakery.cloud.spec(packages={"apt": ["hello"]}, groups={"worker": {"instance_type": "t3.small", "image": DEBIAN}, "master": {"instance_type": "t3.small", "image": DEBIAN}})  # fmt: skip
    status, _, said = told(bakery, capsys, "images", "bake")
    assert status == 0 and f"{builder}: " in said
    bakery.cloud.emulator.set(denied=[])
    assert told(bakery, capsys, "reap", "--yes")[0] == 0
    bakery.no_builder()


def test_an_account_that_cannot_be_asked_for_images_is_left_out(
    bakery: Bakery, capsys: pytest.CaptureFixture[str]
) -> None:
    told(bakery, capsys, "images", "bake")
    bakery.cloud.spec(packages={"apt": ["hello"]})
    other = (bakery.cloud.folder / "retina.yml").read_text().replace("ec2:\n", "ec2:\n  profile: theirs\n")
    (bakery.cloud.folder / "inventories" / "other.yml").write_text(
        other.replace("cluster: retina", "cluster: other")
    )
    status, _, said = told(bakery, capsys, "reap", "--images", "--yes")
    assert status == 0 and "left out: images of other at ec2: " in said and "removed muster-" in said


def test_a_region_that_is_none_is_refused_before_anything_is_made(
    bakery: Bakery, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, said = told(bakery, capsys, "images", "bake", "--region", "eu-wst-1")
    assert status == 1 and "there is no region 'eu-wst-1'. Did you mean eu-west-1?" in said
    assert bakery.installed == [] and bakery.cloud.emulator.books()["images"] == []


def test_images_are_reaped_when_asked(bakery: Bakery, capsys: pytest.CaptureFixture[str]) -> None:
    told(bakery, capsys, "images", "bake")
    bakery.cloud.spec(packages={"apt": ["hello"]})
    for words in (["reap", "--yes"], ["reap", "--images", "--dry-run"]):
        assert told(bakery, capsys, *words)[0] == 0
        assert len(bakery.cloud.emulator.books()["images"]) == 1
    status, _, said = told(bakery, capsys, "reap", "--images", "--yes")
    assert status == 0 and "removed muster-" in said and not bakery.cloud.emulator.books()["snapshots"]


def test_where_images_are_made_by_hand_that_is_said(
    bakery: Bakery, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "hosts.yml"
    path.write_text(
        "plugin: cluster\ncluster: hosts\nprovider: existing\nnodes: 1\nobject_store: {kind: none}\n"
        "groups: {master: {cores: 2, memory_gb: 4, hosts: [{address: 192.0.2.1}]}}\n"
    )
    status = cli.main(["-i", str(path), "images", "bake"])
    said = capsys.readouterr().err
    assert status == 0 and "hosts of your own start from what is on them" in said, said
