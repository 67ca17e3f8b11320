"""./muster size: no account, no network; each number is explained, mistakes are one line."""

from __future__ import annotations

import json
from typing import Any

import pytest

from provision import cli


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = cli.main(["size", *words])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_a_table_of_all_providers_each_number_explained(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = call(capsys, "--data", "500MB")
    assert status == 0, err
    for word in ("NODES", "EXECUTORS", "HAS MIB", "NEEDS MIB", "PARTITIONS", "IN MEMORY", "$/H", "Rows"):
        assert any(line.startswith(word) for line in out.splitlines()) or word in out.splitlines()[0], word
    assert "ec2: AWS was not asked" in out and "softlayer: SoftLayer was not asked" in out
    assert "this computer" in out and "nobody is paid" in out


def test_shapes_alone_ask_for_no_provider(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = call(capsys, "--rows", "1000", "--shape", "8x16", "--shape", "16x64")
    assert status == 0
    assert "8x16" in out and "not known" in out and "ec2" not in out


def test_for_a_program(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = call(capsys, "--rows", "1000000", "--image-size", "16", "--provider", "ec2", "--json")
    found: dict[str, Any] = json.loads(out)
    assert status == 0
    assert found["work"] == {"job": "logistic_regression", "rows": 1_000_000, "columns": 256, "classes": 5}
    cheapest = found["clusters"][0]
    assert cheapest["fits"] and cheapest["hourly"] > 0 and cheapest["provider"] == "ec2"
    assert cheapest["layout"]["executors"] >= 1 and cheapest["needs"]["partitions"] >= 1
    assert [one["fits"] for one in found["clusters"]] == sorted(
        (one["fits"] for one in found["clusters"]), reverse=True
    )


def test_what_nothing_holds_is_said_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = call(
        capsys,
        "--rows",
        "9000",
        "--image-size",
        "256",
        "--channels",
        "3",
        "--classes",
        "10000",
        "--shape",
        "2x3",
        "--nodes",
        "1",
    )
    assert status == 1
    assert "no" in out.splitlines()[1] and "The job fits on none of these" in err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--data", "7XB"], "no amount of data"),
        (["--data", "7"], "write it like 7GB"),
        (["--data", "0GB"], "no amount of data"),
        (["--data", "1GB", "--rows", "5"], "one of them"),
        ([], "--data 7GB, or --rows"),
        (["--rows", "5", "--job", "cnn"], "known: logistic_regression"),
        (["--rows", "5", "--shape", "8x"], "CORESxGIB"),
        (["--rows", "5", "--shape", "0x8"], "CORESxGIB"),
        (["--rows", "5", "--provider", "aws"], "no provider 'aws'"),
        (["--rows", "5", "--channels", "4"], "1 is grey"),
        (["--rows", "5", "--image-size", "65"], "no image size"),
    ],
)
def test_mistakes_are_one_line(words: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = call(capsys, *words)
    assert status != 0 and not out
    assert expected in err and err.count("\n") == 1, err
