"""Names that nothing knows are refused, in every playbook and however they are given."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from provision.config import extra
from provision.config.extra import check_extra_names, known_names, public_names
from provision.core.errors import ConfigError
from provision.core.paths import PROJECT


def test_public_names_are_those_of_the_interface() -> None:
    assert public_names() == {
        "ARGS", "CLASS", "CORES", "DEPS", "DETACH", "FORCE", "IMAGE_SIZE",
        "JOB", "MACHINES", "MEMORY_GB", "NUM_NODES", "ON", "ON_CORES", "ON_MEMORY", "PARAMS",
        "SCALE_IN", "SOURCE", "SWEEP",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("NUM_NODE", "-e NUM_NODE: unknown name. Did you mean NUM_NODES?"),
        ("IMAGESIZE", "-e IMAGESIZE: unknown name. Did you mean IMAGE_SIZE?"),
        ("num_nodes", "-e num_nodes: unknown name. Did you mean NUM_NODES?"),
        ("image_size", "-e image_size: unknown name. Did you mean IMAGE_SIZE?"),
        ("force", "-e force: unknown name. Did you mean FORCE?"),
        ("imagesize", "-e imagesize: unknown name. Did you mean IMAGE_SIZE?"),
        ("ZEBRA", "-e ZEBRA: unknown name. Known: ARGS, CLASS, CORES, DEPS, DETACH, FORCE, IMAGE_SIZE, JOB, MACHINES, MEMORY_GB, NUM_NODES, ON, ON_CORES, ON_MEMORY, PARAMS, SCALE_IN, SOURCE, SWEEP"),
    ],
)  # fmt: skip
def test_what_nothing_knows_is_refused(name: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        check_extra_names(["IMAGE_SIZE", name])
    assert str(error.value) == said


def test_what_is_known_or_the_users_own_passes() -> None:
    assert {"image_size", "job_secrets", "dataset_image_size"} <= known_names()
    inner = [name for name in known_names() if name.upper() not in public_names()]
    check_extra_names(
        [*public_names(), *inner, "ansible_become_pass", "my_own", "node_recipe", "node_recipe_key"]
    )


def test_secrets_define_names_whether_values_or_the_file_are_encrypted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extra, "PROJECT", tmp_path)
    group_vars = tmp_path / "group_vars" / "all"
    group_vars.mkdir(parents=True)
    (group_vars / "interface.yml").write_text("size: '{{ NUM_NODES }}'\n")
    (group_vars / "vault.yml").write_text("num_node: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  3132\n")
    check_extra_names(["num_node"])
    (group_vars / "vault.yml").write_text("$ANSIBLE_VAULT;1.1;AES256\n3132\n")
    with pytest.raises(ConfigError, match="Did you mean NUM_NODES"):
        check_extra_names(["num_node"])


@pytest.mark.parametrize(
    "given",
    [["-e", "NUM_NODE=5"], ["-e", '{"NUM_NODE": 5}'], ["-e", "IMAGE_SIZE=16", "-e", "@more.json"]],
)
@pytest.mark.parametrize(
    "program", [["ansible-playbook", "start_cluster.yml"], ["ansible-inventory", "--list"]]
)
def test_in_every_playbook(given: list[str], program: list[str], tmp_path: Path) -> None:
    config, more = tmp_path / "retina.yml", tmp_path / "more.json"
    config.write_text("plugin: cluster\ncluster: retina\n")
    more.write_text(json.dumps({"NUM_NODE": 5}))
    words = [word.replace("@more.json", f"@{more}") for word in given]
    command = [str(Path(sys.executable).with_name(program[0])), *program[1:], "-i", str(config), *words]
    done = subprocess.run(
        command,
        cwd=PROJECT,
        env=os.environ | {"MUSTER_STATE": str(tmp_path / "state")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert done.stderr.strip() == "[ERROR]: -e NUM_NODE: unknown name. Did you mean NUM_NODES?"
    assert "PLAY" not in done.stdout
    assert not (tmp_path / "state").exists()
