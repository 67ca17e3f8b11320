"""The memory that training takes."""

from __future__ import annotations

import pytest

from muster_node import footprint
from muster_node.footprint import of_logistic, of_scikit

SMALL = {"nodes": 2, "cores": 2, "executor_memory_mb": 704, "driver_memory_mb": 512}
"""Nodes of 2 GiB."""
LARGE = {"nodes": 5, "cores": 8, "executor_memory_mb": 12_000, "driver_memory_mb": 2_700}


def test_small_data_stays_where_the_driver_is():
    found = of_logistic(1_438, 256, 10, **SMALL)
    assert (found.partitions, found.fits, found.missing_mb, found.advice) == (0, True, 0, "")


@pytest.mark.parametrize(("columns", "classes"), [(4_096, 10), (65_536, 5), (3 * 256 * 256, 5)])
def test_rows_need_not_fit_into_memory(columns, classes):
    rows = 4 * 2 * 704 * 2**20 // columns
    master = {"driver_memory_mb": 1_024} if columns * classes > 900_000 else {}
    found = of_logistic(rows, columns, classes, **SMALL | master)
    assert found.fits and found.in_memory < 0.4
    assert found.data_mb >= 3 * 2 * 704
    assert found.data_mb / found.partitions <= 64 and found.partitions % 4 == 0


def test_what_does_not_fit_says_how_much_is_missing_and_what_would_do():
    found = of_logistic(30_000, 3 * 256 * 256, 30, **SMALL)
    assert not found.fits
    assert found.missing_mb > 500
    assert "driver lacks" in found.advice and "more memory for the master" in found.advice
    assert of_logistic(30_000, 3 * 256 * 256, 30, **LARGE | {"driver_memory_mb": 12_000, "cores": 4}).fits


def test_a_short_memory_remembers_fewer_steps():
    assert of_logistic(1_438, 256, 10, **SMALL).steps == 10
    assert 3 <= of_logistic(30_000, 3 * 256 * 256, 5, **SMALL).steps < 10


def test_every_core_has_work():
    assert of_logistic(28_000, 65_536, 5, **LARGE).partitions == 40
    assert of_logistic(28_000, 3 * 65_536, 5, **LARGE).partitions == 120


def test_a_penalty_of_absolutes_takes_more_memory_for_a_step():
    short = LARGE | {"driver_memory_mb": 800}
    plain = of_logistic(28_000, 3 * 65_536, 5, **short)
    assert of_logistic(28_000, 3 * 65_536, 5, **short, l1=True).steps < plain.steps


def test_what_the_driver_does_not_hold_is_in_parts():
    """Of training and held-out rows alike."""
    assert footprint.parts(footprint.HERE_BYTES, 4) == 0
    assert footprint.parts(footprint.HERE_BYTES + 1, 4) == 4


def test_a_block_has_a_row_at_least():
    assert footprint.block_rows(256) == 16_384
    assert footprint.block_rows(10**9) == 1


def test_one_process_has_all_rows_as_doubles():
    assert of_scikit(1_438, 4_096, 10, free_mb=1_500).fits
    found = of_scikit(28_000, 16_384, 5, free_mb=1_500)
    assert found.missing_mb > 2_000 and "on all nodes" in found.advice
    room = 1_500 + found.missing_mb
    assert of_scikit(28_000, 16_384, 5, free_mb=room).fits
    assert not of_scikit(28_000, 16_384, 5, free_mb=room, held=7_000).fits
