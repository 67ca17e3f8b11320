"""`muster-verify PLAN`: prove that this node, and on the master the whole cluster, does what it is for.

Runs on every node at the same time, with a plan (JSON) as its only argument; as root, which looks at the
firewall and uses the key of the queue of jobs, and then becomes the user of jobs. Prints one line of JSON:
{"checks": [{name, ok, expected, found, seconds, remedy}, …]}. `ok` is null where nothing could be said.
"""

from __future__ import annotations

import json
import os
import pwd
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from muster_node.proofs import cluster, elsewhere, features, firewall, programs, staged
from muster_node.proofs.plan import Check, Plan, make


def torch(plan: Plan) -> tuple[bool, str]:
    """Compute and train a tiny model; a machine that is rented with GPUs has to do it on all of them."""
    return True, programs.run("torch_step", str(plan.gpus), environment=os.environ)


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
        if plan.dataset and plan.dataset.settings:
            remedy = "Set the keys back in the config file, or have the set made anew"
            same = partial(staged.settings, plan.dataset, plan.namenode_url)
            todo.append(Check("Settings", remedy, "those that the set was made with", same))
    if plan.deep_learning:
        driver = (
            "Look at `nvidia-smi` on the node, then at docs/ec2.md; start_cluster.yml installs the driver"
        )
        remedy = driver if plan.gpus else "Run main.yml again"
        todo.append(Check("Deep learning", remedy, "a training step", partial(torch, plan)))
    if plan.dataset:
        title = "Data copies" if plan.dataset.folder else "Data set"
        work = partial(staged.data, plan.dataset, plan.namenode_url)
        todo.append(Check(title, "Run hadoop.yml: it stages the set again", "files as in the manifest", work))
    return todo + features.checks(plan.features)


def become(user: str) -> None:
    """Be another user from here on, for good."""
    account = pwd.getpwnam(user)
    os.initgroups(user, account.pw_gid)
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    os.environ |= {"HOME": account.pw_dir, "USER": user, "LOGNAME": user}


def main() -> int:
    """Make all checks of this node, those that need no root at the same time."""
    plan = Plan.parse(json.loads(sys.argv[1]))
    answers = [make(firewall.CHECK)]
    if plan.master and (there := elsewhere.machines()):
        answers.append(make(elsewhere.check(there)))
    become(plan.user)
    todo = checks(plan)
    with ThreadPoolExecutor(max(len(todo), 1)) as pool:
        answers += pool.map(make, todo)
    print(json.dumps({"checks": [answer.as_dict() for answer in answers]}))
    return 0
