"""Prove that one node, and on the master the whole cluster, does what it is for.

Runs on every node at the same time, read from standard input, with a plan (JSON) as its only argument; prints
one line of JSON: {"checks": [{name, ok, expected, found, seconds, remedy}, …]}. `ok` is null where nothing
could be said.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

sys.path.insert(0, "/opt/muster/lib")

PYTHON = "/opt/muster/venv/bin/python"
ROUND_TRIP_BYTES = 2 * 2**20
DEADLINE_S = 150
PARTS = ("train", "holdout", "test")

SPARK_APPLICATION = """
import json, socket, sys, time
from pyspark import SparkConf, SparkContext
count = int(sys.argv[1])
context = SparkContext(conf=SparkConf().setAppName("verify"))
def work(numbers):
    time.sleep(0.3)  # long enough that no executor gets a second task
    return [(socket.gethostname(), sum(number * number for number in numbers))]
found = context.parallelize(range(100 * count), count).mapPartitions(work).collect()
hosts = sorted({host for host, _ in found})
print("MUSTER " + json.dumps({"hosts": hosts, "sum": sum(part for _, part in found)}))
context.stop()
"""
SPARK_OPTIONS = {
    "spark.executor.cores": "1",
    "spark.executor.memory": "512m",
    "spark.driver.memory": "512m",
    "spark.scheduler.minRegisteredResourcesRatio": "1.0",
    "spark.scheduler.maxRegisteredResourcesWaitingTime": "60s",
    "spark.ui.enabled": "false",
    "spark.eventLog.enabled": "false",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1",
    "spark.executor.extraJavaOptions": "-XX:TieredStopAtLevel=1",
}

TORCH_STEP = """
import torch
torch.manual_seed(1)
torch.set_num_threads(1)
device = "cuda" if torch.cuda.is_available() else "cpu"
model = torch.nn.Linear(8, 2).to(device)
before = model.weight.detach().clone()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
data, labels = torch.randn(16, 8, device=device), torch.randint(0, 2, (16,), device=device)
losses = []
for _ in range(2):
    loss = torch.nn.functional.cross_entropy(model(data), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
assert losses[1] < losses[0] and not torch.equal(before, model.weight), losses
print(f"MUSTER torch {torch.__version__} on {device}")
"""

Answer = dict[str, Any]


class NotSaid(Exception):
    """A check could not be made; the text says why."""


def check(name: str, remedy: str, expected: object, work: Callable[[], tuple[bool, object]]) -> Answer:
    """Make one check; whatever goes wrong in it is its finding."""
    began = time.monotonic()
    try:
        ok, found = work()
    except NotSaid as error:
        ok, found = None, str(error)  # type: ignore[assignment]
    except subprocess.TimeoutExpired as error:
        ok, found = False, f"no answer within {error.timeout:.0f} s"
    except Exception as error:
        ok, found = False, " ".join(f"{error or type(error).__name__}".split())[:300]
    return {
        "name": name,
        "ok": ok,
        "expected": expected,
        "found": found,
        "seconds": round(time.monotonic() - began, 2),
        "remedy": "" if ok else remedy,
    }


def ask(url: str) -> Any:  # noqa: ANN401  (whatever JSON there is)
    """Return the JSON at a URL of the cluster's own daemons. Raises OSError."""
    with urllib.request.urlopen(url, timeout=15) as answer:  # noqa: S310
        return json.load(answer)


def members(plan: Answer, there: set[str], wished: list[str]) -> tuple[bool, str]:
    """Say whether all wished nodes are among the names and addresses in `there`."""
    addresses = plan["addresses"]
    missing = [name for name in wished if not {name, addresses.get(name, name)} & there]
    short = max(plan["wish"] - len(wished), 0)
    found = f"{len(wished) - len(missing)}"
    if missing:
        found += f"; missing: {', '.join(missing)}"
    if short:
        found += f"; {short} machines were never made"
    return not missing and not short, found


def datanodes(plan: Answer) -> tuple[bool, str]:
    """Compare the living DataNodes with the wish."""
    bean = ask(f"{plan['namenode_url']}/jmx?qry=Hadoop:service=NameNode,name=NameNodeInfo")["beans"][0]
    live = json.loads(bean["LiveNodes"])
    there = {name.partition(":")[0] for name in live}
    there |= {str(node.get("xferaddr", "")).partition(":")[0] for node in live.values()}
    if bean.get("Safemode"):
        return False, "the NameNode is in safe mode"
    return members(plan, there, plan["datanodes"])


def workers(plan: Answer) -> tuple[bool, str]:
    """Compare the living Workers with the wish."""
    alive = [worker["host"] for worker in _alive(plan)]
    return members(plan, set(alive), plan["workers"])


def _alive(plan: Answer) -> list[Answer]:
    return [worker for worker in ask(f"{plan['master_url']}/json/")["workers"] if worker["state"] == "ALIVE"]


def round_trip(plan: Answer) -> tuple[bool, str]:
    """Write a file of random bytes into HDFS, read it back, compare, delete it."""
    import muster_webhdfs

    hdfs = muster_webhdfs.Client(plan["namenode_url"])
    content = secrets.token_bytes(ROUND_TRIP_BYTES)
    path = f"/user/hadoop/.muster-verify-{secrets.token_hex(4)}"
    try:
        hdfs.write(path, BytesIO(content), len(content), copies=min(3, len(plan["datanodes"])))
        back = hdfs.read(path) or b""
    finally:
        hdfs.remove(path)
    same = hashlib.sha256(back).digest() == hashlib.sha256(content).digest()
    return same, f"{len(back) // 2**20} MiB, checksum {'equal' if same else 'differs'}"


def spark(plan: Answer) -> tuple[bool, str]:
    """Run one application with one task on every living Worker."""
    alive = _alive(plan)
    if not alive:
        return False, "no Worker"
    busy = [worker for worker in alive if worker["coresfree"] < 1 or worker["memoryfree"] < 512]
    if busy:
        raise NotSaid(f"{len(busy)} of {len(alive)} Workers are busy with another application")
    options = {**SPARK_OPTIONS, "spark.cores.max": str(len(alive))}
    arguments = [f'--conf "{key}={value}"' for key, value in options.items()]
    environment = {
        **os.environ,
        "PYSPARK_SUBMIT_ARGS": " ".join([*arguments, "pyspark-shell"]),
        **plan["environment"],
    }
    answer = json.loads(_run(SPARK_APPLICATION, str(len(alive)), environment))
    count = 100 * len(alive)
    right = answer["sum"] == sum(number * number for number in range(count))
    found = f"tasks on {len(answer['hosts'])} of {len(alive)} Workers" + ("" if right else ", wrong sum")
    return right and len(answer["hosts"]) == len(alive), found


def torch(plan: Answer) -> tuple[bool, str]:
    """Train a tiny model for two steps; a machine that is rented with a GPU has to do it there."""
    found = _run(TORCH_STEP, "", dict(os.environ))
    if plan["gpus"] and not found.endswith(" on cuda"):
        return False, f"{found}; the machine's type has {plan['gpus']} GPU(s), torch sees none"
    return True, found


def _run(program: str, argument: str, environment: dict[str, str]) -> str:
    """Run a Python program in the environment of jobs; return what follows MUSTER in its output."""
    done = subprocess.run(
        [PYTHON, "-c", program, argument],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    told = next((line.removeprefix("MUSTER ") for line in lines if line.startswith("MUSTER ")), "")
    if done.returncode or not told:
        raise RuntimeError(lines[-1] if lines else f"exit status {done.returncode}")
    return told


def data(plan: Answer) -> tuple[bool, object]:
    """Compare this node's share of the staged files with their manifests: sizes, checksums, rows."""
    wished, (hdfs, parts) = plan["dataset"], _staged(plan)
    end, wrong, seen, total, files = time.monotonic() + wished["seconds"], [], 0, 0, 0
    rows: dict[str, int] = {}
    for part in parts:
        folder = f"/datasets/{wished['name']}/{part}"
        note = hdfs.read(f"{folder}/_manifest.json")
        if note is None:
            raise RuntimeError(f"{folder} has no manifest")
        lengths = hdfs.lengths(folder) or {}
        objects = json.loads(note)["objects"]
        rows[part] = sum(item["rows"] for item in objects)
        for item in objects[wished["index"] :: wished["count"]]:
            name, files, total = item["key"].rpartition("/")[2], files + 1, total + item["rows"]
            if lengths.get(name) != item["bytes"]:
                wrong.append(f"{part}/{name} is missing or has another size")
            elif time.monotonic() < end:
                seen += 1
                wrong += [
                    f"{part}/{name}: {what}" for what in _content(hdfs.read(f"{folder}/{name}") or b"", item)
                ]
    found = {"files": files, "read": seen, "rows": total, "all_rows": rows, "wrong": wrong[:5]}
    return not wrong, found


def _staged(plan: Answer) -> tuple[Any, list[str]]:
    """Return where the staged sets lie, and their names: of the wished size, of all sizes when it is 0."""
    import muster_folder
    import muster_webhdfs

    name, size, root = (plan["dataset"][key] for key in ("name", "size", "folder"))
    if root:
        files: Any = muster_folder.Client(Path(root))
        found = files.folders(f"/datasets/{name}")
    else:
        files, found = muster_webhdfs.Client(plan["namenode_url"]), []
        with suppress(urllib.error.HTTPError):
            answer = ask(f"{plan['namenode_url']}/webhdfs/v1/datasets/{name}?op=LISTSTATUS&user.name=hadoop")
            found = [entry["pathSuffix"] for entry in answer["FileStatuses"]["FileStatus"]]
    staged = [
        each for each in sorted(found) if re.fullmatch(rf"({'|'.join(PARTS)})_({size or '[0-9]+'})", each)
    ]
    if not any(each.startswith("train_") for each in staged):
        raise RuntimeError(
            f"{root or 'HDFS'} holds no training set {name}{f' of size {size}' if size else ''}"
        )
    return files, staged


def _content(content: bytes, item: Answer) -> Iterator[str]:
    if hashlib.sha256(content).hexdigest() != item["sha256"]:
        yield "checksum differs"
        return
    text = gzip.decompress(content) if item["key"].endswith(".gz") else content
    rows = text.count(b"\n") + (not text.endswith(b"\n") and bool(text))
    if rows != item["rows"]:
        yield f"{rows} rows instead of {item['rows']}"


def checks(plan: Answer) -> list[tuple[str, str, object, Callable[[], tuple[bool, object]]]]:
    """Return what this node has to prove, the longest first."""
    wish, todo = plan["wish"], []
    if plan["master"]:
        again = "Look at `./muster ui` and at `journalctl -u {}` on the node, then run hadoop.yml"
        todo += [
            ("Spark", again.format("spark-worker"), "a task on every Worker", lambda: spark(plan)),
            ("DataNodes", again.format("hdfs-datanode"), wish, lambda: datanodes(plan)),
            ("Workers", again.format("spark-worker"), wish, lambda: workers(plan)),
            ("HDFS", again.format("hdfs-namenode"), "written, read back, equal", lambda: round_trip(plan)),
        ]
    if plan["deep_learning"]:
        remedy = (
            "It takes NVIDIA's driver and a PyTorch for it, see docs/ec2.md"
            if plan["gpus"]
            else "Run main.yml again"
        )
        todo.append(("Deep learning", remedy, "a training step", lambda: torch(plan)))
    if plan["dataset"]:
        remedy = "Run hadoop.yml: it stages the set again"
        title = "Data copies" if plan["dataset"]["folder"] else "Data set"
        todo.append((title, remedy, "files as in the manifest", lambda: data(plan)))
    return todo


def main() -> None:
    """Make all checks of this node at the same time."""
    plan = json.loads(sys.argv[1])
    todo = checks(plan)
    with ThreadPoolExecutor(max(len(todo), 1)) as pool:
        answers = list(pool.map(lambda item: check(*item), todo))
    print(json.dumps({"checks": answers}))


if __name__ == "__main__":
    main()
