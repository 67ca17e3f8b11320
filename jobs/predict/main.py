"""Predictions of a saved model for a prepared set, or for texts, as predictions.csv.

The model is that of a run of logistic_regression, baseline, random_forest, boosting, cnn or
text_classification. Sets without labels have ids; the rows of the others are numbered, and their labels stand
beside what the model says, which is scored then.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import answers
import boosted
import estimators
import lines
import prepared
import scores
import scripted
import trained
from answers import Answer
from options import given
from parameters import COMPETITION, SPARK, TORCH, XGBOOST, Parameters
from publish import results_folder, save_metrics
from trained import BadChoice, Trained

from muster_node import sets
from muster_node.sets import Manifest

if TYPE_CHECKING:
    from pyspark import RDD
    from pyspark.sql import SparkSession

PREDICTIONS = "predictions.csv"
SHOWN = 10
"""Classes that the last line counts."""
Tally = Counter[tuple[int | None, int]]


def describe(spark: SparkSession, dataset: str, part: str, size: int) -> Manifest:
    """Return what is written about a set. Raises BadChoice: the data set has no such part at all."""
    if (
        part == sets.TEST
        and not _there(spark, dataset, part, size)
        and _there(spark, dataset, sets.TRAIN, size)
    ):
        raise BadChoice(
            f"{dataset} has no test set, all of its images have labels: "
            f"part={sets.HOLDOUT} predicts those that were not trained on"
        )
    return prepared.manifest(spark, sets.staged_folder(dataset, part, size))


def _there(spark: SparkSession, dataset: str, part: str, size: int) -> bool:
    return prepared.exists(spark, f"{sets.staged_folder(dataset, part, size)}/{sets.STAGED_MANIFEST}")


def ask(spark: SparkSession, model: Trained, folder: str, about: Manifest) -> RDD:
    """Return (place, first cell, probability of each class) for every row of a set, in no order."""
    placed = lines.of_set(spark, folder).zipWithIndex()
    if model.engine != SPARK:
        columns = about.columns - 1

        def keyed(row: tuple[str, int]) -> tuple[tuple[int, str], lines.Pixels]:
            first, pixels = lines.parse(row[0], columns)
            return (row[1], first), pixels

        rows, here = placed.map(keyed), trained.fetch(spark, model)
        if model.engine == TORCH:
            channels = columns // about.size**2
            found = scripted.probabilities(spark, rows, here, channels=channels, variant=model.variant)
        elif model.engine == XGBOOST:
            found = boosted.probabilities(spark, rows, here)
        else:
            features = estimators.pictures(model.normalised)
            found = estimators.probabilities(spark, rows, here, classes=len(model.names), features=features)
        return found.map(lambda row: (*row[0], tuple(row[1].tolist())))
    from pyspark.ml.functions import vector_to_array

    def numbered(row: tuple[str, int]) -> tuple[str, str]:
        first, rest = lines.split(row[0])
        return f"{row[1]},{rest}", first

    asked = spark.createDataFrame(placed.map(numbered), "value string, first string")
    rows = prepared.vectors(asked, "first", normalised=model.normalised)
    said = trained.load_spark_model(model).transform(rows)
    chosen = said.select("label", "first", vector_to_array("probability"))
    return chosen.rdd.map(lambda row: (int(row[0]), row[1], tuple(row[2])))


def in_order(found: RDD) -> Iterator[tuple[int, str, tuple[float, ...]]]:
    """Yield all rows by their places; they wait on the executors' disks, and come in batches."""
    from pyspark import StorageLevel

    yield from found.persist(StorageLevel.DISK_ONLY).sortBy(lambda row: row[0]).toLocalIterator()


def tallied(
    found: Iterable[tuple[int, str, tuple[float, ...]]], tally: Tally, *, truths: bool
) -> Iterator[Answer]:
    """Yield the answers, counting (label, predicted class) on the way."""
    for place, first, shares in found:
        answer = Answer(str(place), int(first), shares) if truths else Answer(first, None, shares)
        tally[answer.truth, answer.said] += 1
        yield answer


def ask_texts(spark: SparkSession, model: Trained, folder: str) -> RDD:
    """Return (place, id, probability of each class) of every line `id<TAB>text`; raises as `predict` does."""
    if not folder or not prepared.exists(spark, folder):
        raise BadChoice(
            f"{model.run} knows texts, and there is no data={folder} in HDFS: say which folder has lines "
            "`id<TAB>text`"
        )

    def keyed(row: tuple[str, int]) -> tuple[tuple[int, str], str]:
        name, _, text = row[0].partition("\t")
        return (row[1], name), text

    placed = spark.sparkContext.textFile(folder).zipWithIndex().map(keyed)
    found = estimators.probabilities(
        spark, placed, trained.fetch(spark, model), classes=len(model.names), features=list
    )
    return found.map(lambda row: (*row[0], tuple(row[1].tolist())))


def predict(spark: SparkSession, asked: Parameters) -> dict[str, Any]:
    """Write predictions.csv; return what is to be said about it. Raises BadChoice, BadModel."""
    begin = time.monotonic()
    model, truths = trained.find(spark, asked.model, asked.engine), False
    if model.of_texts:
        asked_of: dict[str, Any] = {"data": asked.data}
        names = model.names
        found = ask_texts(spark, model, asked.data)
    else:
        dataset, size = asked.dataset or str(model.metrics["dataset"]), int(model.metrics["image_size"])
        about = describe(spark, dataset, asked.part, size)
        model.require_fit(about, dataset)
        asked_of = {"dataset": dataset, "part": asked.part, "image_size": size}
        names, truths = model.names, about.first_column == "label"
        found = ask(spark, model, sets.staged_folder(dataset, asked.part, size), about)
    print(f"Asking the model of {model.engine} of {model.run}", flush=True)
    tally = Tally()
    write(tallied(in_order(found), tally, truths=truths), names, asked, truths=truths)
    said = Counter[int]()
    for (_, one), count in tally.items():
        said[one] += count
    return {
        "job": "predict",
        "model": model.run,
        "engine": model.engine,
        **asked_of,
        "rows": tally.total(),
        "predicted": {name: said[number] for number, name in enumerate(names)},
        "seconds": round(time.monotonic() - begin, 2),
        **(scored(tally, len(names)) if truths else {}),
    }


def write(said: Iterable[Answer], names: Sequence[str], asked: Parameters, *, truths: bool) -> None:
    """Write predictions.csv in the form that is asked for."""
    with (results_folder() / PREDICTIONS).open("w", encoding="utf-8", newline="") as target:
        if asked.form == COMPETITION:
            columns = (asked.id_column, asked.label_column)
            answers.write_for_competition(target, said, names, columns=columns, endings=asked.endings)
        else:
            answers.write(target, said, names, truths=truths)


def scored(tally: Tally, classes: int) -> dict[str, Any]:
    """Return the scores of rows that have labels."""
    counts = ((truth, said, count) for (truth, said), count in tally.items() if truth is not None)
    return scores.summary(scores.confusion(counts, classes))


def headline(metrics: dict[str, Any]) -> str:
    """Return the result in one line."""
    right = f", {metrics['accuracy']:.2%} of them right" if "accuracy" in metrics else ""
    most = Counter(metrics["predicted"]).most_common(SHOWN)
    shares = ", ".join(f"{name}: {count:,}" for name, count in most if count)
    if len(metrics["predicted"]) > SHOWN:
        shares += ", …"
    return f"{metrics['rows']:,} predictions in {PREDICTIONS}{right} ({shares}; {metrics['seconds']:.0f} s)"


def main() -> None:
    """Predict; whatever cannot be done ends with a line."""
    asked = given(Parameters)
    with prepared.session(f"predict {asked.model}", BadChoice, estimators.BadModel) as spark:
        metrics = predict(spark, asked)
    save_metrics(metrics)
    print(headline(metrics), flush=True)


if __name__ == "__main__":
    main()
