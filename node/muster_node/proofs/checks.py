"""`muster-verify PLAN`: prove that this node, and on the master the whole cluster, does what it is for.

Runs on every node at the same time, with a plan (JSON) as its only argument; prints one line of JSON:
{"checks": [{name, ok, expected, found, seconds, remedy}, …]}. `ok` is null where nothing could be said.
"""

from __future__ import annotations

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from muster_node.proofs import cluster, programs, staged
from muster_node.proofs.plan import Check, Plan, make


def torch(plan: Plan) -> tuple[bool, str]:
    """Train a tiny model; a machine that is rented with a GPU has to do it there."""
    found = programs.run("torch_step", environment=os.environ)
    if plan.gpus and not found.endswith(" on cuda"):
        return False, f"{found}; the machine's type has {plan.gpus} GPU(s), torch sees none"
    return True, found


def checks(plan: Plan) -> list[Check]:
    """Return what this node has to prove, the longest first."""
    todo = []
    if plan.master:
        look = "Look at `./muster ui` and at `journalctl -u {}` on the node, then run hadoop.yml"
        worker, datanode, namenode = map(look.format, ("spark-worker", "hdfs-datanode", "hdfs-namenode"))
        todo += [
            Check("Spark", worker, "a task on every Worker", partial(cluster.spark, plan)),
            Check("DataNodes", datanode, plan.wish, partial(cluster.datanodes, plan)),
            Check("Workers", worker, plan.wish, partial(cluster.workers, plan)),
            Check("HDFS", namenode, "written, read back, equal", partial(cluster.round_trip, plan)),
        ]
    if plan.deep_learning:
        driver = "It takes NVIDIA's driver and a PyTorch for it, see docs/ec2.md"
        remedy = driver if plan.gpus else "Run main.yml again"
        todo.append(Check("Deep learning", remedy, "a training step", partial(torch, plan)))
    if plan.dataset:
        title = "Data copies" if plan.dataset.folder else "Data set"
        work = partial(staged.data, plan.dataset, plan.namenode_url)
        todo.append(Check(title, "Run hadoop.yml: it stages the set again", "files as in the manifest", work))
    return todo


def main() -> int:
    """Make all checks of this node at the same time."""
    todo = checks(Plan.parse(json.loads(sys.argv[1])))
    with ThreadPoolExecutor(max(len(todo), 1)) as pool:
        answers = list(pool.map(make, todo))
    print(json.dumps({"checks": [answer.as_dict() for answer in answers]}))
    return 0
