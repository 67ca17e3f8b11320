"""`-e CORES` and `-e MEMORY_GB`: what is wished of machines, beside the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from provision.config.load import load_config
from provision.core.errors import ConfigError
from provision.core.spec import ClusterSpec, Scale

LOCAL = "plugin: cluster\ncluster: retina\ngroups:\n  gpu: {count: 1}\n"


def load(folder: Path, extra: dict[str, Any], text: str = LOCAL) -> ClusterSpec:
    path = folder / "retina.yml"
    path.write_text(text)
    return load_config(path, extra)


def test_master_and_workers_are_meant_and_no_other_group(tmp_path: Path) -> None:
    found = load(tmp_path, {"CORES": "8", "MEMORY_GB": "12.5", "NUM_NODES": 5})
    assert {(group.name, group.cores, group.memory_gb) for group in found.groups} == {
        ("master", 8, 12.5), ("worker", 8, 12.5), ("gpu", 2, 2.0),
    }  # fmt: skip
    assert found.scale == Scale(8, 12.5) and found.nodes == 5


def test_one_alone_leaves_the_other_as_in_the_file(tmp_path: Path) -> None:
    found = load(tmp_path, {"CORES": 4})
    assert [(group.cores, group.memory_gb) for group in found.scaled_groups] == [(4, 3.0), (4, 2.0)]


def test_what_was_wished_before_counts_where_nothing_is_given_now(tmp_path: Path) -> None:
    found = load(tmp_path, {"CORES": 4}).wished(None, Scale(2, 6.0))
    assert found.scale == Scale(4, 6.0)
    assert [(group.cores, group.memory_gb) for group in found.scaled_groups] == [(4, 6.0), (4, 6.0)]


EC2 = """plugin: cluster
cluster: retina
provider: ec2
groups: {master: {instance_type: m7i.large}, worker: {instance_type: m7i.large}}
object_store: {kind: none}
"""
SOFTLAYER = """plugin: cluster
cluster: retina
provider: softlayer
softlayer: {datacenter: dal13}
groups: {master: {flavor: B1_2X8X100}}
object_store: {kind: none}
"""


@pytest.mark.parametrize(
    ("extra", "text", "said"),
    [
        (
            {"CORES": "many"},
            LOCAL,
            "-e CORES=many: is no whole number of processors. Say for example -e CORES=8",
        ),
        ({"CORES": "1.5"}, LOCAL, "-e CORES=1.5: is no whole number"),
        ({"CORES": True}, LOCAL, "-e CORES=True: is no whole number"),
        ({"CORES": 0}, LOCAL, "-e CORES=0: cores: must be at least 1"),
        ({"MEMORY_GB": "nan"}, LOCAL, "-e MEMORY_GB=nan: is no number of GiB"),
        ({"MEMORY_GB": 9999}, LOCAL, "-e MEMORY_GB=9999: memory_gb: must be at most 4096"),
        (
            {"CORES": 2, "MEMORY_GB": 2},
            LOCAL,
            "-e CORES=2 -e MEMORY_GB=2: groups.master: 2 GB of memory are too few",
        ),
        ({"CORES": 8}, EC2, "-e CORES=8: groups.master is at ec2, where groups.master.instance_type decides"),
        (
            {"MEMORY_GB": 8},
            SOFTLAYER,
            "-e MEMORY_GB=8: groups.master is at softlayer, where groups.master.flavor",
        ),
    ],
)
def test_refused_in_one_line(tmp_path: Path, extra: dict[str, Any], text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, extra, text)
    assert str(caught.value).startswith(said), str(caught.value)
    assert "\n" not in str(caught.value)


WITH_EXPERIMENTS = LOCAL + "  experiment: {cores: 4}\n"


def test_machines_for_experiments_are_there_only_while_they_are_wished(tmp_path: Path) -> None:
    file = load(tmp_path, {}, WITH_EXPERIMENTS)
    assert file.size(file.group("experiment")) == 0
    wish = load(tmp_path, {"MACHINES": "3"}, WITH_EXPERIMENTS)
    assert wish.size(wish.group("experiment")) == 3 and wish.group("experiment").cores == 4
    assert file.wished(None, wish.scale).size(file.wished(None, wish.scale).group("experiment")) == 3
    over = load(tmp_path, {"MACHINES": 0, "CORES": 8}, WITH_EXPERIMENTS).wished(None, wish.scale)
    assert over.size(over.group("experiment")) == 0 and over.group("worker").cores == 8


@pytest.mark.parametrize(
    ("text", "machines", "said"),
    [
        (LOCAL, "3", "no group experiment in retina.yml says what those machines are"),
        (WITH_EXPERIMENTS, "many", "-e MACHINES=many: is no number of machines"),
        (LOCAL + "  experiment: {count: 2}\n", "3", "the group experiment takes no `count`"),
    ],
)
def test_what_cannot_be_said_of_experiments(tmp_path: Path, text: str, machines: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load(tmp_path, {"MACHINES": machines}, text)
