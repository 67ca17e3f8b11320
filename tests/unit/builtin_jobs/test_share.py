"""What an application has of the cluster."""

from __future__ import annotations

from share import Share, parse

from provision.planning.sizing import cluster_sizing


def test_settings_say_what_the_cluster_was_sized_for():
    nodes = [
        {"name": f"n{at}", "group": "worker" if at else "master", "cores": 4, "memory_gb": 8}
        for at in range(3)
    ]
    sized = cluster_sizing(nodes)
    settings = {
        "spark.executor.cores": str(sized.executor_cores),
        "spark.executor.memory": f"{sized.executor_memory_mb}m",
        "spark.driver.memory": f"{sized.driver_memory_mb}m",
        "spark.default.parallelism": str(sized.shuffle_partitions),
    }
    assert parse(settings) == Share(
        sized.executors, sized.executor_cores, sized.executor_memory_mb, sized.driver_memory_mb
    )
    assert parse({}) == Share(1, 1, 1024, 1024)


def test_on_the_master_one_process_may_have_both_heaps_and_what_is_beside_them():
    assert Share(2, 2, 544, 512).master_mb == 544 + 384 + 512 + 384
    assert parse({"spark.executor.memory": "2g"}).executor_mb == 2048
