"""`COUNT` tasks in one Spark application prove that as many Workers compute, with the Python of jobs.

Prints the hosts, those among them that have computed with another Python (and which), and a sum.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Iterable

from pyspark import SparkConf, SparkContext

from muster_node.proofs.programs import MARK


def work(numbers: Iterable[int]) -> list[tuple[str, str, int]]:
    """Say where this is, which Python this is, and what the sum of the squares is."""
    time.sleep(0.3)  # long enough that no executor gets a second task
    return [(socket.gethostname(), sys.executable, sum(number * number for number in numbers))]


def main() -> None:
    """Run the application."""
    count = int(sys.argv[1])
    context = SparkContext(conf=SparkConf().setAppName("verify"))
    found = context.parallelize(range(100 * count), count).mapPartitions(work).collect()
    others = {host: python for host, python, _ in found if python != sys.executable}
    hosts = sorted({host for host, _, _ in found})
    print(MARK + json.dumps({"hosts": hosts, "others": others, "sum": sum(part for *_, part in found)}))
    # Spark stops it with this process; context.stop() waits up to a second for a thread of PySpark's.


if __name__ == "__main__":
    main()
