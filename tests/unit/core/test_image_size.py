"""IMAGE_SIZE as people give it: one of the sizes that data sets come in, or one line."""

from __future__ import annotations

import re

import pytest

from muster_node import sets
from provision.core.errors import ConfigError
from provision.core.image_size import image_size
from provision.core.paths import PROJECT


@pytest.mark.parametrize("size", sets.SIZES)
def test_a_size_of_data_sets_is_taken_in_any_form(size: int) -> None:
    assert image_size(size) == image_size(str(size)) == image_size(f" {size}\n") == size


@pytest.mark.parametrize("given", ["0", "-1", "100", "abc", "64.0", "6 4", 17])
def test_others_are_refused_with_those_that_there_are(given: str | int) -> None:
    with pytest.raises(ConfigError) as refused:
        image_size(given)
    sizes = " ".join(map(str, sets.SIZES))
    assert str(refused.value) == f"IMAGE_SIZE={given}: is not a size of pictures. Say one of {sizes}"


def test_without_one_every_playbook_means_the_size_last_asked_for() -> None:
    """submit.yml gives the job none then: the queue on the master knows it. Verify proves all that is staged."""
    files = [*(PROJECT / "playbooks").rglob("*.yml"), *(PROJECT / "group_vars").rglob("*.yml")]
    defaults = {
        (line.partition(":")[0].strip() if "verify" in line else path.name, default)
        for path in files
        for line in path.read_text().splitlines()
        if not line.lstrip().startswith("#")
        for default in re.findall(r"\bIMAGE_SIZE\b(?: \| default\(([^)]*)\))?", line)
    }
    assert defaults == {
        ("interface.yml", "cluster_image_size"),
        ("preflight.yml", "cluster_image_size"),
        ("submit.yml", "''"),
        ("verify_image_size", "0"),
    }
