"""The file of a sweep, and what it means."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.core.errors import ConfigError
from provision.core.paths import PROJECT
from provision.core.spec import Scale
from provision.studies.sweep import ClusterShape, Layout, load_sweep


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.yml"
    path.write_text(text)
    return path


def test_the_combinations_of_2015_are_shipped() -> None:
    found = load_sweep(PROJECT / "sweeps" / "2015.yml")
    assert {(shape.nodes, shape.scale.cores, shape.scale.memory_gb) for shape in found.shapes} == {
        (nodes, cores, memory) for nodes in (3, 5, 7) for cores in (8, 16) for memory in (8, 12, 16)
    }
    assert found.layouts == (None, Layout(0, 1, 1024)) and found.sizes == (64, 128, 256)
    assert sum(len(list(found.on(shape))) for shape in found.shapes) == 108


def test_what_is_left_out_is_as_in_the_config_file(tmp_path: Path) -> None:
    found = load_sweep(write(tmp_path, "sizes: [16]\nshapes: {nodes: [1, 2]}\n"))
    assert found.shapes == (ClusterShape(1, Scale()), ClusterShape(2, Scale()))
    assert found.layouts == (None,) and found.job == "logistic_regression" and found.name == "mine"


def test_another_parameter_is_another_result(tmp_path: Path) -> None:
    text = "sizes: [16]\nshapes: {nodes: [1]}\nparameters: {iterations: 5, balance: true}\n"
    found = load_sweep(write(tmp_path, text))
    other = load_sweep(write(tmp_path, text.replace("5", "6")))
    assert found.parameters == ("iterations=5", "balance=true")
    (one,), (same) = found.on(found.shapes[0]), next(other.on(other.shapes[0]))
    assert found.key(one) != other.key(same)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "sizes: [65]\nshapes: {nodes: [1]}\n",
            "sizes: 65 is no size of pictures. Known: 16, 32, 64, 128, 256",
        ),
        ("sizes: [16]\nshapes: {nodes: []}\n", "shapes.nodes"),
        ("sizes: [16]\nshapes: {node: [1]}\n", "shapes.node: unknown key. Did you mean `nodes`?"),
        ("sizes: [16]\nshapes: {nodes: [0]}\n", "must be at least 1"),
        ("sizes: [16]\nshapes: {nodes: [1]}\nlayouts: [large]\n", "layouts"),
        ("sizes: [16]\nshapes: {nodes: [1]}\ndeadline: soon\n", "deadline"),
        ("- 1\n", "is no mapping"),
        ("a: [\n", "not valid YAML"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_sweep(write(tmp_path, text))
    assert said in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_sweep(tmp_path / "none.yml")
