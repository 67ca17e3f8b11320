"""Table, plot and comparison of what was measured."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest

from provision.studies import report
from provision.studies.diary import Page, Result
from provision.studies.sweep import Sweep, load_sweep

FILE = "sizes: [16]\nshapes: {nodes: [1, 3], cores: [2], memory_gb: [3]}\nlayouts: [advised, {cores: 1, memory_gb: 0.5}]\n"


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    path = tmp_path / "a&b.yml"
    path.write_text(FILE)
    return load_sweep(path)


@pytest.fixture
def page(sweep: Sweep) -> Page:
    one, three = (list(sweep.on(shape)) for shape in sweep.shapes)
    results = {
        sweep.key(one[0]): Result("r-1", "succeeded", 40.0, "", 1, 2, 640, 20.5, 0.9),
        sweep.key(one[1]): Result("r-2", "failed", 9.0, "out of memory, <here>", 2, 1, 512),
        sweep.key(three[0]): Result("r-3", "succeeded", 30.0, "", 3, 2, 640, 10.0, 0.9),
        sweep.key(three[1]): Result("r-4", "succeeded", 20.0, "", 6, 1, 512, 5.0, 0.9),
    }
    return Page(results=results)


def test_the_table_has_every_run_failed_ones_with_their_reason(
    sweep: Sweep, page: Page, tmp_path: Path
) -> None:
    table, _ = report.write(sweep, page, tmp_path)
    rows = list(csv.DictReader(io.StringIO(table.read_text())))
    assert [(row["nodes"], row["layout"], row["state"]) for row in rows] == [
        ("1", "advised", "succeeded"), ("1", "given", "failed"),
        ("3", "advised", "succeeded"), ("3", "given", "succeeded"),
    ]  # fmt: skip
    assert rows[1]["reason"] == "out of memory, <here>" and rows[0]["train_seconds"] == "20.5"
    assert rows[0]["cores"] == "2" and rows[0]["memory_gb"] == "3" and rows[3]["executors"] == "6"


def test_the_plot_marks_what_failed(sweep: Sweep, page: Page, tmp_path: Path) -> None:
    _, plot = report.write(sweep, page, tmp_path)
    found = Xml.parse(plot).getroot()  # noqa: S314  our own
    space = "{http://www.w3.org/2000/svg}"
    assert len(found.findall(f"{space}circle")) == 3
    assert len(found.findall(f"{space}g")) == 1, "the failed run"
    line = found.find(f"{space}polyline")
    assert line is not None
    (x1, y1), (x2, y2) = (point.split(",") for point in line.attrib["points"].split())
    assert (int(x1) < int(x2) and int(y1) > int(y2)) or int(y1) < int(y2), "a line from one node to three"
    assert int(y1) < int(y2), "the best of three nodes is quicker, so lower"


def test_the_advised_layout_against_the_best(sweep: Sweep, page: Page) -> None:
    lines = list(report.comparisons(report.measured(sweep, page)))
    one, three = lines
    assert one == (
        "1 nodes, 2 cores, 3 GiB; 16x16: best 1 x 2 cores 640 MiB (40 s); "
        "advised 1 x 2 cores 640 MiB (40 s, 1.00 x the best); 1 failed"
    )
    assert three == (
        "3 nodes, 2 cores, 3 GiB; 16x16: best 6 x 1 cores 512 MiB (20 s); "
        "advised 3 x 2 cores 640 MiB (30 s, 1.50 x the best); 0 failed"
    )


def test_nothing_yet_is_an_empty_table(sweep: Sweep, tmp_path: Path) -> None:
    table, plot = report.write(sweep, Page(), tmp_path)
    assert table.read_text() == "nodes\n" and "<svg" in plot.read_text()
