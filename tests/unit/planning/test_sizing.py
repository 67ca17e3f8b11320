"""Sizing: what must hold for every cluster, and the sizes this toolkit promises to work with."""

from __future__ import annotations

import pytest

from provision.planning.sizing import (
    DAEMON_HEAPS,
    GROUP_DAEMONS,
    JVM_BEYOND_HEAP_MB,
    LARGEST_HEAP_MB,
    PREPARING_MB,
    SMALLEST_HEAP_MB,
    cluster_sizing,
    heap_within,
    node_sizing,
    overhead_mb,
    shortage,
)


def node(group: str, cores: int, memory_gb: float, name: str = "") -> dict[str, object]:
    return {"name": name or group, "group": group, "cores": cores, "memory_gb": memory_gb}


def cluster(workers: int, master: tuple[int, float], worker: tuple[int, float]) -> list[dict[str, object]]:
    return [node("master", *master), *(node("worker", *worker, f"worker-{n}") for n in range(1, workers + 1))]


SHAPES = [
    cluster(2, (2, 3), (2, 2)),
    cluster(0, (2, 3), (2, 2)),
    cluster(4, (2, 3), (2, 2)),
    cluster(2, (8, 8), (8, 8)),
    cluster(2, (16, 16), (16, 16)),
    cluster(6, (16, 12), (16, 12)),
    cluster(4, (4, 8), (32, 256)),
    cluster(2, (8, 16), (4, 64)),
]


def test_the_smallest_promised_cluster() -> None:
    sized = cluster_sizing(cluster(2, (2, 3), (2, 2)))
    assert (sized.executors, sized.executor_cores, sized.driver_memory_mb) == (3, 2, 512)
    assert sized.executor_memory_mb >= SMALLEST_HEAP_MB


@pytest.mark.parametrize("nodes", SHAPES)
def test_nothing_is_given_away_twice(nodes: list[dict[str, object]]) -> None:
    sized = cluster_sizing(nodes)
    placed = 0
    for one in nodes:
        share = node_sizing(one["cores"], one["memory_gb"], GROUP_DAEMONS[one["group"]])
        heaps = (
            share.namenode_xmx_mb,
            share.datanode_xmx_mb,
            share.master_xmx_mb,
            share.worker_xmx_mb,
            share.history_xmx_mb,
        )
        daemons = sum(heap + JVM_BEYOND_HEAP_MB for heap in heaps if heap)
        each = sized.executor_memory_mb + sized.executor_overhead_mb
        fit = min(one["cores"] // sized.executor_cores, share.worker_memory_mb // sized.executor_memory_mb)
        assert share.system_mb + daemons + share.driver_mb + fit * each <= one["memory_gb"] * 1024
        placed += fit
    assert placed == sized.executors


@pytest.mark.parametrize("nodes", SHAPES)
def test_nearly_all_cores_are_used(nodes: list[dict[str, object]]) -> None:
    sized = cluster_sizing(nodes)
    assert sized.executors * sized.executor_cores >= 0.9 * sum(one["cores"] for one in nodes)
    assert sized.executor_memory_mb <= LARGEST_HEAP_MB


def test_few_large_executors_on_equal_nodes() -> None:
    sized = cluster_sizing(cluster(2, (8, 8), (8, 8)))
    assert (sized.executors, sized.executor_cores) == (3, 8)


def test_a_node_that_is_too_small_is_named_with_what_it_needs() -> None:
    with pytest.raises(ValueError, match=r"^master: 2 GB of memory are too few .* at least 3$") as caught:
        cluster_sizing(cluster(2, (2, 2), (2, 2)))
    enough = float(str(caught.value).rsplit(" ", 1)[1])
    assert cluster_sizing(cluster(2, (2, enough), (2, 2))).executors == 3


@pytest.mark.parametrize(("group", "least"), [("master", 3), ("worker", 1.5)])
def test_what_a_group_needs_is_known_without_machines(group: str, least: float) -> None:
    assert shortage(group, 2, least) == ""
    assert shortage(group, 2, least - 0.25).endswith(f"give its group at least {least:g}")
    assert shortage("gpu", 2, 0.5) == "", "it has no daemons"


def test_services_of_features_take_their_share_and_are_named_where_there_is_none() -> None:
    nodes = [{"name": "m", "group": "master", "cores": 2, "memory_gb": 8.0}]
    with_notebook = [{**nodes[0], "services": ["notebook", "engines", "tracking"]}]
    assert cluster_sizing(with_notebook).executor_memory_mb < cluster_sizing(nodes).executor_memory_mb
    assert shortage("worker", 2, 2.0, ["engines"]) == ""
    assert "its daemons, notebook and one executor" in shortage("master", 2, 3.0, ["notebook"])


@pytest.mark.parametrize("nodes", SHAPES)
def test_tasks_leave_the_executor_its_jvm(nodes: list[dict[str, object]]) -> None:
    sized = cluster_sizing(nodes)
    whole = sized.executor_memory_mb + sized.executor_overhead_mb
    workers = sized.executor_cores * (sized.task_memory_mb + PREPARING_MB)
    assert sized.task_memory_mb >= 128 and workers <= whole * 2 / 3


def test_machines_of_other_groups_do_not_count() -> None:
    nodes = cluster(2, (2, 3), (2, 2))
    assert cluster_sizing([*nodes, node("gpu", 8, 32)]) == cluster_sizing(nodes)


def test_a_daemon_that_does_not_run_has_no_heap() -> None:
    sized = node_sizing(2, 2, {"datanode"})
    assert (sized.namenode_xmx_mb, sized.master_xmx_mb, sized.worker_memory_mb, sized.driver_mb) == (
        0,
        0,
        0,
        0,
    )


def test_an_unknown_role_is_an_error() -> None:
    with pytest.raises(ValueError, match="unknown role resourcemanager"):
        node_sizing(2, 2, {"resourcemanager"})


def test_daemons_stay_within_their_bounds() -> None:
    sized = node_sizing(64, 1024, set(DAEMON_HEAPS))
    assert (sized.namenode_xmx_mb, sized.datanode_xmx_mb, sized.small) == (8192, 1024, False)


@pytest.mark.parametrize(("total", "cores"), [(900, 1), (2000, 4), (40000, 8), (400, 2)])
def test_a_heap_fits_with_its_overhead(total: int, cores: int) -> None:
    heap = heap_within(total, cores)
    assert heap == 0 or heap + overhead_mb(heap, cores) <= total
