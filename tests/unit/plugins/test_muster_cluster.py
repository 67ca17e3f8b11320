from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from provision.core.errors import NotReady
from provision.core.spec import ObjectStoreSpec
from provision.plugins.action import muster_cluster
from tests.fakes.provider import FakeProvider, World, cluster, spec

CHECKED = {"state": "checked", "lock": False, "image_size": ""}


def test_keys_of_another_store_never_reach_a_running_one(tmp_path: Path) -> None:
    world = World()
    cluster(world, tmp_path).ensure()
    keys = cluster(world, tmp_path).state.secrets / "store.json"
    keys.write_text("those of the store")
    folder = replace(
        spec(path=tmp_path / "retina.yml"), object_store=ObjectStoreSpec(kind="folder", path="/x")
    )
    with pytest.raises(NotReady, match=r"Run start_cluster\.yml"):
        muster_cluster._do(cluster(world, tmp_path, config=folder), CHECKED, check_mode=False)
    assert keys.read_text() == "those of the store"
    muster_cluster._do(cluster(world, tmp_path), CHECKED, check_mode=False)


def test_a_check_is_refused_what_a_start_would_be(tmp_path: Path) -> None:
    class NotToday(FakeProvider):
        def check_ready(self, spec: object, plan: object) -> list[str]:
            raise NotReady(what="not today")

    world = World()
    present = {"state": "present", "scale_in": False}
    with pytest.raises(NotReady, match="not today"):
        muster_cluster._do(cluster(world, tmp_path, provider=NotToday), present, check_mode=True)
    assert muster_cluster._do(cluster(world, tmp_path), present, check_mode=True) == {"changed": True}
