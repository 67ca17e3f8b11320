"""What a master says of itself, which may be anything."""

from __future__ import annotations

import json
from typing import Any

import pytest

from provision.services import live

RUN = "train-20261122-050000-0000"
WORKER = {"host": "w", "cores": 2, "cores_used": 1, "memory_free_mb": 1}
SAID = {
    "hdfs": {"datanodes": 1, "capacity": 10, "used": 1, "remaining": 9},
    "spark": {"workers": [WORKER], "applications": ["x (app-1)"]},
    "jobs": [RUN],
}


def test_what_is_well_is_said() -> None:
    found = live.parse(json.dumps(SAID))
    assert (found.reached, found.datanodes, found.workers, found.cores_used) == (True, 1, 1, 1)
    assert (found.applications, found.jobs) == (("x (app-1)",), (RUN,))
    assert live.parse(json.dumps({"hdfs": None, "spark": None, "jobs": []})).datanodes is None
    for said in ("Welcome!", "[" * 100_000):
        assert "not installed yet" in live.parse(said).why


@pytest.mark.parametrize(
    "lie",
    [[], 7, {}, SAID | {"hdfs": 7}, SAID | {"spark": {"workers": 7}}, SAID | {"jobs": [7]}, SAID | {"jobs": None},
     SAID | {"spark": {"workers": [WORKER | {"cores": "2"}], "applications": []}},
     *(SAID | {"hdfs": SAID["hdfs"] | {"used": used}} for used in (float("inf"), 10**400, -1, None))],  # type: ignore[operator]
)  # fmt: skip
def test_what_cannot_be_is_no_answer(lie: Any) -> None:
    found = live.parse(json.dumps(lie))
    assert not found.reached
    assert live.lines(found) == [
        "The master does not answer: something else than its programs answers; run main.yml"
    ]


def test_a_job_has_a_name_of_one() -> None:
    assert live.parse(json.dumps(SAID | {"jobs": ["../x", RUN]})).jobs == (RUN,)
