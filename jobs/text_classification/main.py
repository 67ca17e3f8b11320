"""Classes of texts: a hashing vectorizer and linear models that all cores learn at once and average.

Reads lines `label<TAB>text` from HDFS, a fifth of which is held out; writes metrics.json,
confusion_matrix.png and the model, which takes texts, as `estimator`.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import estimators
import nodes
import numpy as np
import packages
import picture
import prepared
import reporting
import scores
import texts
from options import given
from parameters import PACKAGES, Parameters
from publish import results_folder, save_metrics
from share import MIB, TASKS_PER_CORE, share_of

if TYPE_CHECKING:
    from pyspark import RDD
    from pyspark.sql import SparkSession
    from sklearn.linear_model import SGDClassifier

INDEX = "text/packages"
"""Where the package index is kept in HDFS, below the home of who runs this."""
COPIES = 4
"""Models that a core's Python holds at a time: what it began with, its own, and both as bytes."""


class BadTexts(ValueError):
    """The texts cannot be learned; the text of it is one line."""


def folder_of(spark: SparkSession, data: str) -> str:
    """Return the folder in HDFS that has the texts; the package index is brought there once.

    Raises BadTexts: there is none. NoPackages: apt cannot bring the index.
    """
    if data != PACKAGES:
        if not prepared.exists(spark, data):
            raise BadTexts(
                f"there is no {data} in HDFS: ./muster put FILE hdfs:{data}/FILE brings texts there"
            )
        return data
    if not prepared.exists(spark, f"{INDEX}/_SUCCESS"):
        print("Fetching the package index", flush=True)
        lines = spark.createDataFrame([(line,) for line in packages.fetch()], "value string")
        lines.repartition(spark.sparkContext.defaultParallelism).write.mode("overwrite").text(INDEX)
    return INDEX


def require_room(*, classes: int, bits: int, room: int) -> None:
    """Raise BadTexts when a core's Python, which may use `room` bytes, cannot hold the models it needs."""
    needed = COPIES * classes * 2**bits * 8
    if needed > room:
        raise BadTexts(
            f"models of {classes:,} classes and 2**{bits} columns take {needed / MIB:,.0f} MiB "
            f"on each core, which has {room / MIB:,.0f}: take fewer bits, or machines with more memory"
        )


def learn(asked: Parameters, learning: RDD, classes: int) -> SGDClassifier:
    """Return the model after all rounds."""
    model = texts.untrained(classes=classes, columns=2**asked.bits, penalty=asked.penalty, seed=asked.seed)
    parts = learning if asked.average else learning.coalesce(1)
    for number in range(asked.rounds):
        start = learning.context.broadcast(model)
        found = parts.mapPartitions(lambda part, start=start: [texts.learned(start.value, part)])
        model, _ = found.filter(lambda one: one[1] > 0).treeReduce(
            lambda one, other: (texts.averaged([one, other]), one[1] + other[1])
        )
        start.destroy()
        print(f"round {number + 1} of {asked.rounds}", flush=True)
        reporting.report(number + 1, asked.rounds, "round")
    return model


def evaluate(model: SGDClassifier, testing: RDD) -> dict[tuple[int, int], int]:
    """Return how often each (true, predicted) class occurs."""
    known = testing.context.broadcast(model)

    def answered(block: texts.Block) -> list[tuple[int, int]]:
        said = known.value.predict(block.rows)
        return list(zip(block.labels.tolist(), said.tolist(), strict=True))

    return dict(testing.flatMap(answered).countByValue())


def run(spark: SparkSession, asked: Parameters) -> dict[str, Any]:
    """Learn, score, save; return the metrics. Raises BadTexts, NoPackages."""
    from pyspark import StorageLevel
    from sklearn.pipeline import make_pipeline

    context, begin = spark.sparkContext, time.monotonic()
    folder = folder_of(spark, asked.data)
    cores = max(1, context.defaultParallelism // TASKS_PER_CORE)
    found = context.textFile(folder, cores).mapPartitions(texts.pairs)
    counts = Counter(dict(found.map(lambda pair: (pair[0], texts.held_out(pair[1]))).countByValue()))
    classes = sorted({label for label, _ in counts})
    test = {label: count for (label, held), count in counts.items() if held}
    train_rows, test_rows = counts.total() - sum(test.values()), sum(test.values())
    if len(classes) < 2 or not test_rows or not train_rows:
        raise BadTexts(
            f"{folder} has {counts.total():,} lines `label<TAB>text` with {len(classes)} labels, "
            "which is too little"
        )
    room = nodes.python_memory(spark) // share_of(spark).cores
    require_room(classes=len(classes), bits=asked.bits, room=room)
    print(f"{counts.total():,} texts with {len(classes)} labels in {folder}", flush=True)

    def numbers(*, held: bool) -> RDD:
        mine = found.filter(lambda pair: texts.held_out(pair[1]) == held)
        # Texts often lie in order, and models that learn one kind after another forget the first.
        mine = mine.sortBy(lambda pair: texts.place(pair[1]), numPartitions=cores)
        turned = mine.mapPartitions(
            lambda part: texts.blocks(part, classes, bits=asked.bits, words=asked.words)
        )
        return turned.persist(StorageLevel.MEMORY_AND_DISK)

    counted = time.monotonic()
    learning, testing = numbers(held=False), numbers(held=True)
    size = learning.union(testing).map(lambda block: block.size).sum()
    turned = time.monotonic()
    model = learn(asked, learning, len(classes))
    trained = time.monotonic()
    pairs = evaluate(model, testing)
    matrix = scores.confusion(((true, said, count) for (true, said), count in pairs.items()), len(classes))
    turner = texts.vectorizer(bits=asked.bits, words=asked.words)
    estimators.save(make_pipeline(turner, model), results_folder() / estimators.FOLDER)
    draw(matrix, classes, folder)
    return {
        "job": "text_classification",
        "data": folder,
        "average": asked.average,
        "models": learning.getNumPartitions() if asked.average else 1,
        "train_rows": train_rows,
        "holdout_rows": test_rows,
        "text_mb": round(size / 1e6, 2),
        "vectorize_seconds": round(turned - counted, 2),
        "vectorize_mb_per_second": round(size / 1e6 / (turned - counted), 2),
        "train_seconds": round(trained - turned, 2),
        "seconds": round(time.monotonic() - begin, 2),
        "majority_share": round(max(test.values()) / test_rows, 6),
        "class_names": classes,
        **scores.summary(matrix),
    }


def draw(matrix: np.ndarray[Any, Any], classes: Sequence[str], folder: str) -> None:
    """Write the picture of the confusion matrix."""
    picture.draw_confusion(
        matrix,
        title=f"{folder}: {scores.accuracy(matrix):.1%} right",
        subtitle=f"{int(matrix.sum()):,} held-out texts, {len(classes)} classes by their names in order",
        path=results_folder() / "confusion_matrix.png",
    )


def headline(metrics: dict[str, Any]) -> str:
    """Return the result in one line."""
    return (
        f"accuracy {metrics['accuracy']:.2%} on {metrics['holdout_rows']:,} held-out texts, where the most "
        f"frequent of {len(metrics['class_names'])} classes has {metrics['majority_share']:.2%}; "
        f"{metrics['text_mb']:.1f} MB vectorized at {metrics['vectorize_mb_per_second']:.1f} MB/s, "
        f"{metrics['models']} models trained in {metrics['train_seconds']:.1f} s"
    )


def main() -> None:
    """Learn; whatever cannot be done ends with a line."""
    asked = given(Parameters)
    with prepared.session("text_classification", BadTexts, packages.NoPackages) as spark:
        metrics = run(spark, asked)
    save_metrics(metrics)
    print(headline(metrics), flush=True)


if __name__ == "__main__":
    main()
