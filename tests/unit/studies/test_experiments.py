"""The file of experiments: a list, a grid, both; and what is wrong with one."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.core.errors import ConfigError
from provision.studies.experiments import load_experiments


def said(folder: Path, text: str) -> list[str]:
    file = folder / "mine.yml"
    file.write_text(text)
    return [str(one) for one in load_experiments(file).every]


def test_a_grid_is_every_combination_and_a_list_is_every_line(tmp_path: Path) -> None:
    grid = "job: cnn\nparameters: {epochs: 2}\ngrid: {network: [small, mlp], augment: [none, shift]}\n"
    assert said(tmp_path, grid) == [
        "network=small augment=none", "network=small augment=shift",
        "network=mlp augment=none", "network=mlp augment=shift",
    ]  # fmt: skip
    assert said(tmp_path, "job: cnn\nruns: [{epochs: 1}, {epochs: 2, mixed: true}]\n") == [
        "epochs=1", "epochs=2 mixed=true",
    ]  # fmt: skip
    both = load_experiments(tmp_path / "mine.yml")
    assert both.name == "mine" and both.every[1].parameters == {"epochs": "2", "mixed": "true"}
    assert said(tmp_path, "job: cnn\nruns: [{a: 1}, {a: 2}]\ngrid: {b: [3, 4]}\n") == [
        "b=3 a=1", "b=4 a=1", "b=3 a=2", "b=4 a=2",
    ]  # fmt: skip
    assert said(tmp_path, "job: cnn\n") == ["as it is"]


def test_a_program_lies_beside_the_file_and_its_results_are_known_from_any_folder(tmp_path: Path) -> None:
    said(tmp_path, "job: ./train.py\nruns: [{a: 1}]\n")
    one = load_experiments(tmp_path / "mine.yml")
    assert one.program == str(tmp_path / "train.py") and one.key(one.every[0]).startswith("./train.py |")
    said(tmp_path, "job: cnn\n")
    assert load_experiments(tmp_path / "mine.yml").program == "cnn"


def test_the_same_run_is_there_once_and_another_parameter_makes_another_key(tmp_path: Path) -> None:
    assert len(said(tmp_path, "job: cnn\nruns: [{a: 1}, {a: 1}]\n")) == 1
    one = load_experiments(tmp_path / "mine.yml")
    assert one.key(one.every[0]) == "cnn |  | a=1"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[1]", "is no mapping with `job` and `grid` or `runs`"),
        ("grid: {a: [1]}", "job: is missing"),
        ("job: cnn\ngrid: {a: []}", "grid.a"),
        ("job: cnn\nimage_size: 17", "image_size: 17 is no size of pictures"),
        ("job: cnn\ngrid: {a: [" + "1," * 1001 + "1]}\nnmae: x", "unknown key"),
        ("job: cnn\ngrid: {a: [" + ",".join(map(str, range(1001))) + "]}", "asks for 1001 runs"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, text: str, what: str) -> None:
    with pytest.raises(ConfigError) as caught:
        said(tmp_path, text)
    assert what in str(caught.value) and "\n" not in str(caught.value)
