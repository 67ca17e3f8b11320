"""What a cluster of baked machines is given to do until it is verified: it does not grow unnoticed.

Every task has its price here, for each host; one that runs on a node costs that 0.03 s of CPU as a module of
ours, 0.17 s as one of Ansible's. The numbers are those of today: who lowers one writes it here, who must raise one
says why in the commit.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.pond import Given, given, pond

LIMITS = {
    "localhost": Given(validations=0, runs=3),
    "pond-master": Given(validations=0, runs=12),
    "pond-worker-1": Given(validations=0, runs=11),
    "object-store": Given(validations=0, runs=4),
}
AGAIN = {
    "localhost": Given(validations=0, runs=2),
    "pond-master": Given(validations=0, runs=8),
    "pond-worker-1": Given(validations=0, runs=8),
    "object-store": Given(validations=0, runs=3),
}
"""Of main.yml alone, on a cluster that runs."""


@pytest.mark.parametrize(
    ("playbooks", "limits"), [(("start_cluster.yml", "main.yml"), LIMITS), (("main.yml",), AGAIN)]
)
def test_no_host_is_given_more_to_do_than_today(
    tmp_path: Path, playbooks: tuple[str, ...], limits: dict[str, Given]
) -> None:
    found, words = given(pond(tmp_path, 2), *playbooks)
    assert found.keys() == limits.keys()
    more = {
        host: one
        for host, one in found.items()
        if one.validations > limits[host].validations or one.runs > limits[host].runs
    }
    assert more == {}, words


def test_a_host_is_given_as_much_however_many_there_are(tmp_path: Path) -> None:
    """Whoever adds a machine to 15 waits for no task more, on an old machine, than who adds one to two."""
    few, many = (
        given(pond(tmp_path / str(nodes), nodes), "start_cluster.yml", "main.yml")[0] for nodes in (2, 16)
    )
    assert {host: many[host] for host in few} == few
    assert {one for host, one in many.items() if "worker" in host} == {few["pond-worker-1"]}
