"""Raw images in the object store become CSV rows in the object store, on all machines of the cluster.

Every executor fetches the images of its part files itself and writes the parts itself; the driver only deals
names and writes the manifests at the end, that of the training set last: a set exists if and only if its
manifest does.

    spark-submit --py-files parts.py,pictures.py,split.py main.py --dataset digits --size 64 --channels 1
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from typing import Any

from parts import Image, Made, Options, Task, make_part
from pyspark import SparkConf, SparkContext
from split import chunk, class_counts, class_numbers, split, stem

from muster_node import files, sets
from muster_node.sets import HOLDOUT, TEST, TRAIN, Manifest, SetFile
from muster_node.stores.base import NotFound, Settings, Store, StoreError
from muster_node.stores.open import open_store

# Parts of a small set: enough that every core of a small cluster has one.
PARTS = {TRAIN: 8, HOLDOUT: 2, TEST: 4}
PROGRAM = "preprocess 1"


class Failure(Exception):
    """Nothing can be made of the raw data; the text is one line."""


def read_labels(store: Store, dataset: str) -> dict[str, str]:
    """Return the label of each labelled image file. Raises Failure when the raw data is not there."""
    try:
        text = store.get(sets.labels_key(dataset)).decode()
    except NotFound as error:
        raise Failure(
            f"the object store has no raw data of {dataset} ({sets.labels_key(dataset)})"
        ) from error
    rows = csv.reader(io.StringIO(text))
    next(rows, None)
    return {row[0]: row[1] for row in rows if row}


def find_images(store: Store, dataset: str) -> dict[str, str]:
    """Return all images: name -> the archive that it lies in ('' = an object of its own)."""
    prefix = sets.image_key(dataset, "")
    images = {key.removeprefix(prefix): "" for key, _ in store.names(prefix)}
    with suppress(NotFound):
        packs = json.loads(store.get(sets.packs_key(dataset)))
        images |= {name: pack for pack, names in packs.items() for name in names}
    return images


def deal(
    images: Mapping[str, str], labels: Mapping[str, str], options: Options
) -> tuple[list[Task], dict[str, int]]:
    """Decide which image goes into which part file; return the tasks and the number of each class."""
    labelled = {name: label for name, label in labels.items() if name in images}
    numbers = class_numbers(list(labelled.values()))
    train, holdout = split(
        labelled, percent=options.holdout_percent, seed=options.seed, split_by=options.split_by
    )
    values = options.size**2 * options.channels
    tasks = []
    for part, names in (
        (TRAIN, train),
        (HOLDOUT, holdout),
        (TEST, sorted(set(images) - set(labelled))),
    ):
        for number, members in enumerate(chunk(names, values=values, parts_at_least=PARTS[part])):
            firsts = [stem(name) if part == TEST else str(numbers[labelled[name]]) for name in members]
            row = zip(members, firsts, strict=True)
            tasks.append(Task(part, number, tuple(Image(name, first, images[name]) for name, first in row)))
    return tasks, numbers


def manifest(part: str, results: Sequence[Made], numbers: dict[str, int], options: Options) -> Manifest:
    """What is written about a set."""
    mine = sorted((made for made in results if made.part == part), key=lambda made: made.number)
    return Manifest(
        dataset=options.dataset,
        set=sets.set_name(part, options.size),
        rows=sum(made.rows for made in mine),
        bytes=sum(made.bytes for made in mine),
        columns=1 + options.size**2 * options.channels,
        first_column="id" if part == TEST else "label",
        size=options.size,
        channels=options.channels,
        classes=dict(sorted(numbers.items(), key=lambda item: item[1])),
        rows_per_class={}
        if part == TEST
        else class_counts([int(label) for made in mine for label in made.labels]),
        skipped=[entry for made in mine for entry in made.skipped],
        objects=[SetFile(made.key, made.bytes, made.sha256, made.rows) for made in mine if made.key],
        made_by={"program": PROGRAM, **asdict(options)},
    )


def follow(context: SparkContext, total: int, path: str, done: threading.Event) -> None:
    """Write how many parts are finished to the progress file, twice a second, until `done`."""
    tracker = context.statusTracker()
    while not done.wait(0.5):
        stages = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
        finished = sum(stage.numCompletedTasks for stage in stages if stage)
        files.report(path, f"preprocessing: {finished} of {total} parts")


def run(options: Options, progress: str) -> dict[str, Any]:
    """Make all sets of one size; return a summary. Raises Failure, StoreError."""
    store = open_store(Settings.load())
    labels = read_labels(store, options.dataset)
    tasks, numbers = deal(find_images(store, options.dataset), labels, options)
    if not tasks:
        raise Failure(f"the raw data of {options.dataset} has no images")
    files.report(
        progress, f"preprocessing: starting Spark for {sum(len(task.images) for task in tasks)} images"
    )
    context = SparkContext(conf=SparkConf().setAppName(f"preprocess {options.dataset} {options.size}"))
    context.setLogLevel("ERROR")
    done = threading.Event()
    watcher = threading.Thread(target=follow, args=(context, len(tasks), progress, done), daemon=True)
    watcher.start()
    try:
        rdd = context.parallelize(tasks, len(tasks))
        results = rdd.map(partial(make_part, options=options)).collect()
    finally:
        done.set()
        watcher.join()
    summary = publish(store, results, numbers, options)
    context.stop()
    return summary


def notes(skipped: Sequence[Mapping[str, str]]) -> list[str]:
    """What the user is told about images that are left out: one line, the first five by name."""
    if not skipped:
        return []
    first = ", ".join(f"{entry['image']} ({entry['reason']})" for entry in skipped[:5])
    more = f" and {len(skipped) - 5} more" if len(skipped) > 5 else ""
    return [f"{len(skipped)} images cannot be read and are left out: {first}{more}"]


def publish(
    store: Store, results: Sequence[Made], numbers: dict[str, int], options: Options
) -> dict[str, Any]:
    """Write the manifests, training set last; return a summary. Raises Failure when no image was whole."""
    skipped = [entry for made in results for entry in made.skipped]
    if not any(made.rows for made in results):
        raise Failure(
            f"none of the {len(skipped)} images of {options.dataset} can be read: {skipped[0]['reason']}"
        )
    summary: dict[str, Any] = {"changed": True, "rows": {}, "notes": notes(skipped)}
    for part in sets.PARTS:
        content = manifest(part, results, numbers, options)
        if content.rows:
            store.put(sets.manifest_key(options.dataset, part, options.size), content.to_json().encode())
            summary["rows"][content.set] = content.rows
    return summary


def main() -> None:
    """Run from spark-submit; the last line of standard output is the summary as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--size", type=int, required=True, help="side of the pictures in pixels")
    parser.add_argument("--channels", type=int, choices=(1, 3), default=3)
    parser.add_argument(
        "--tolerance", type=int, default=12, help="colour distance that still counts as border"
    )
    parser.add_argument("--holdout-percent", type=int, default=20)
    parser.add_argument("--seed", type=int, default=2016)
    parser.add_argument("--split-by", choices=("auto", "image", "subject"), default="auto")
    parser.add_argument("--progress", default="", help="file for a line about how far the program is")
    arguments = vars(parser.parse_args())
    progress = arguments.pop("progress")
    try:
        summary = run(Options(**arguments), progress)
    except (Failure, StoreError) as error:
        sys.exit(f"preprocess: {error}")
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
