"""More data than the executors have memory: the built-in regression survives, what people wrote in 2015 does not.

As doubles the rows are three times the executors' heaps, on nodes of 2 and 3 GiB that are never given more.
"""

from __future__ import annotations

import json
import re

import pytest

from provision.core.paths import PROJECT
from tests.system.runs import only_run

pytestmark = pytest.mark.long

COLUMNS, ROWS, FILES = 256 * 256, 6_800, 4

MAKE = f"""\
import json
import numpy as np
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
folder = "/datasets/large"
hadoop = spark._jvm.org.apache.hadoop.fs
files = hadoop.FileSystem.get(spark._jsc.hadoopConfiguration())

def rows(part, count):
    draw = np.random.default_rng(part)
    text = np.full(2 * {COLUMNS}, ord(","), np.uint8)
    for row in range(count):
        label = row % 5
        bits = draw.random({COLUMNS}, np.float32) < 0.3
        bits[label * 1000 : label * 1000 + 1000] |= draw.random(1000) < 0.3
        text[1::2] = 48 + 9 * bits
        yield str(label) + text.tobytes().decode()

for name, parts, each in (("train", {FILES}, {ROWS // FILES}), ("holdout", 1, 100)):
    target = f"{{folder}}/{{name}}_256"
    made = spark.sparkContext.parallelize(range(parts), parts).flatMap(lambda part: rows(part, each))
    made.saveAsTextFile(target, "org.apache.hadoop.io.compress.GzipCodec")
    for part in range(parts):
        files.rename(hadoop.Path(f"{{target}}/part-{{part:05d}}.gz"), hadoop.Path(f"{{target}}/part-{{part:05d}}.csv.gz"))
    about = {{
        "dataset": "large", "set": f"{{name}}_256", "rows": parts * each, "columns": {COLUMNS} + 1, "size": 256,
        "classes": {{str(n): n for n in range(5)}}, "rows_per_class": {{str(n): parts * each // 5 for n in range(5)}},
    }}
    stream = files.create(hadoop.Path(f"{{target}}/_manifest.json"))
    stream.write(bytearray(json.dumps(about).encode()))
    stream.close()
conf = spark.sparkContext.getConf()
print("executor", conf.get("spark.executor.memory"), flush=True)
"""

NAIVE = """\
import numpy as np
from pyspark import StorageLevel
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()

def matrix(lines):
    yield np.array([[float(cell) for cell in line.split(",")] for line in lines])

parts = spark.sparkContext.textFile("/datasets/large/train_256/part-*").mapPartitions(matrix)
parts.persist(StorageLevel.MEMORY_ONLY)
for _ in range(3):
    print("iteration", parts.map(lambda rows: rows.sum(axis=0)).reduce(lambda one, other: one + other)[:3], flush=True)
"""


def test_rows_beyond_memory(labs, tmp_path):
    lab = labs(nodes=2)
    lab.up(size=16)
    make, naive = tmp_path / "make.py", tmp_path / "naive.py"
    make.write_text(MAKE)
    naive.write_text(NAIVE)
    told = lab.muster("submit", str(make)).ok().output
    heap = int(re.search(r"executor (\d+)m", told)[1])
    assert 3 * lab.nodes * heap * 2**20 <= ROWS * COLUMNS * 8
    run = lab.muster("submit", "logistic_regression", "dataset=large", "size=256", "iterations=3").ok()
    metrics = json.loads((PROJECT / "results" / only_run(run) / "metrics.json").read_text())
    assert (metrics["train_rows"], metrics["pixels"]) == (ROWS, COLUMNS)
    assert metrics["accuracy"] > 0.5 and metrics["parts"] >= FILES
    failed = lab.muster("submit", str(naive))
    assert failed.status != 0, failed.report()
    # Or it finds nobody any more, for Spark's JVM beside it has ended.
    how = r"memory|killed|lost|crashed|connection refused"
    assert re.search(how, failed.output.splitlines()[-1], re.IGNORECASE), failed.report()
    lab.muster("submit", "logistic_regression", "size=16", "dataset=digits").ok()
