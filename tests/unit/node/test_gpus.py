"""muster-gpus: what NVIDIA's program says, as Spark wants it."""

from __future__ import annotations

import json

import pytest

from muster_node import gpus


@pytest.mark.parametrize(("said", "addresses"), [("0\n", ["0"]), ("0\n1\n2\n3\n", ["0", "1", "2", "3"])])
def test_the_gpus_are_named_as_spark_reads_them(said: str, addresses: list[str]) -> None:
    assert json.loads(gpus.resource(said)) == {"name": "gpu", "addresses": addresses}


@pytest.mark.parametrize(
    "said", ["", "No devices were found\n", "NVIDIA-SMI has failed because it couldn't communicate\n"]
)
def test_a_node_without_one_says_so_in_a_line(said: str) -> None:
    with pytest.raises(ValueError, match="nvidia-smi names no GPUs"):
        gpus.resource(said)


@pytest.mark.parametrize(
    ("does", "status", "out", "error"),
    [
        ("echo 0", 0, '{"name": "gpu", "addresses": ["0"]}\n', ""),
        ("echo 'No devices were found'; exit 6", 1, "", "muster-gpus: nvidia-smi names no GPUs: ''\n"),
    ],
)
def test_the_program(tmp_path, monkeypatch, capsys, does, status, out, error) -> None:
    (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{does}\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert gpus.main() == status
    assert capsys.readouterr() == (out, error)
