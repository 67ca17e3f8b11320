"""Which GPUs can compute; the list of types is Amazon's own, as moto has dumped it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from moto.ec2.models.instance_types import INSTANCE_TYPES

from provision.core.errors import NotReady
from provision.core.paths import PROJECT
from provision.core.spec import NodeGroup
from provision.images.recipe import GPU_ROLES, NODE_ROLES, node_recipe
from provision.providers.ec2 import gpus
from provision.providers.ec2.config import Ec2Settings
from provision.providers.facts import facts_of
from tests.fakes.ec2 import Cloud, check
from tests.fakes.provider import spec


def nvidia(raw: Any) -> list[Any]:
    found = raw.get("GpuInfo", {}).get("Gpus", [])
    return [gpu for gpu in found if gpu["Manufacturer"] == "NVIDIA"]


WITH = {name: nvidia(raw) for name, raw in sorted(INSTANCE_TYPES.items()) if nvidia(raw)}


def group(*kinds: str) -> NodeGroup:
    return NodeGroup("gpu", "ec2", 1, 2, 8, 0, Ec2Settings(instance_type=kinds))


def gpu(cloud: Cloud, *kinds: str, name: str = "gpu") -> Any:
    size = {} if name == "worker" else {"count": 1}
    return cloud.provider(groups={name: {"instance_type": list(kinds), "cores": 1, **size}})


def test_every_type_with_a_gpu_is_driven_or_refused() -> None:
    assert len(WITH) > 50
    unknown = [kind for kind in WITH if kind.partition(".")[0] not in {*gpus.DRIVEN, *gpus.NEEDS}]
    assert unknown == [], "look up what drives them, then add them to the table"
    assert [kind for kind in INSTANCE_TYPES if gpus.has_gpu(kind) and kind not in WITH] == []


def test_the_chips_in_the_table_are_amazons() -> None:
    told = {kind.partition(".")[0]: {one["Name"] for one in found} for kind, found in WITH.items()}
    assert {family: told[family] for family in gpus.DRIVEN if family in told} == {
        family: {chip} for family, chip in gpus.DRIVEN.items() if family in told
    }


def test_the_page_has_the_table() -> None:
    page = (PROJECT / "docs" / "ec2.md").read_text(encoding="utf-8").partition("| types | GPU |")[2]
    rows = re.findall(r"^  \| ([a-z0-9, -]+) \| [^|]+ \| (yes|no)", page, re.MULTILINE)
    told = {family: answer for families, answer in rows for family in families.split(", ")}
    assert told == dict.fromkeys(gpus.DRIVEN, "yes") | dict.fromkeys(gpus.NEEDS, "no")


@pytest.mark.parametrize(
    "kind", ["g4dn.xlarge", "g5.xlarge", "g6.xlarge", "g6e.xlarge", "gr6.4xlarge", "p3dn.24xlarge"]
)
def test_driven(cloud: Cloud, kind: str) -> None:
    check(gpu(cloud, kind))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("g6f.large", r"the GPU of g6f\.large needs NVIDIA's licensed GRID driver for a share of a GPU.*Name one of .*g5, g6"),
        ("gr6f.4xlarge", "GRID driver"),
        ("g7e.2xlarge", "driver 570 or newer, and Debian 13 has 550"),
        ("p6-b200.48xlarge", "driver 570 or newer"),
        ("p4d.24xlarge", "Fabric Manager for its NVSwitch"),
        ("p5.48xlarge", "Fabric Manager"),
        ("g5g.xlarge", "PyTorch for CUDA on arm64"),
    ],
)  # fmt: skip
def test_refused(cloud: Cloud, kind: str, message: str) -> None:
    with pytest.raises(NotReady, match=message) as caught:
        check(gpu(cloud, kind))
    assert "\n" not in str(caught.value)
    assert cloud.emulator.left_over() == []


def test_a_type_of_tomorrow_is_refused() -> None:
    assert not gpus.has_gpu("g9.xlarge")
    assert "g9.xlarge is not among the types" in gpus.why_not("g9.xlarge")


def test_types_with_and_without_a_gpu_are_two_groups(cloud: Cloud) -> None:
    with pytest.raises(
        NotReady, match=r"some of g5\.xlarge, m5\.xlarge have a GPU and some have none.*two groups"
    ):
        check(gpu(cloud, "g5.xlarge", "m5.xlarge", name="worker"))


def test_machines_with_a_gpu_get_the_driver_and_others_do_not() -> None:
    assert node_recipe(spec(), group("g5.xlarge")).roles == GPU_ROLES
    assert node_recipe(spec(), group("m7i.large")).roles == NODE_ROLES
    assert "nvidia" not in NODE_ROLES and set(GPU_ROLES) - set(NODE_ROLES) == {"nvidia"}
    assert not facts_of("local").has_gpu(group("g5.xlarge"))
