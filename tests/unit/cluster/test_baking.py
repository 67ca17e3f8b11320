from __future__ import annotations

import pytest

from provision.cluster.baking import _reason

RECAP = ["", "PLAY RECAP ****", "image-1-master : ok=1 failed=1"]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            ["TASK [x]", "[ERROR]: Task failed: no package a", "Origin: y", "fatal: [n]: FAILED! => "],
            "Task failed: no package a",
        ),
        (
            ["TASK [x]", "fatal: [image-1-master]: the script ended with status 3"],
            "the script ended with status 3",
        ),
    ],
)
def test_the_reason_of_a_failed_bake_is_what_failed_first(lines: list[str], said: str) -> None:
    assert _reason(lines + RECAP) == said
