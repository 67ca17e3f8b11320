"""Raw images in the object store become sets of all asked sizes in the object store, on all machines.

Every executor fetches the images of its parts itself, decodes each once and writes the parts of all sizes
itself; the driver only deals names and writes the manifests at the end. Where images are few and small, it
makes the parts, too, sooner than executors would have started. A set exists if and only if the manifest of
its training part does.

    spark-submit --py-files parts.py,… main.py --dataset digits --sizes 16,64
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from dealing import deal
from decoding import MEMORY, MIB
from manifests import publish, tell
from masters import are_there, forget_masters, list_masters, read_masters
from parts import make_part
from raw import Failure, Raw, find_packs, read_raw
from records import made_before
from tasks import COPIES, Job, Made, Options, Task

from muster_node import files, sets
from muster_node.hdfs.webhdfs import Hdfs, HdfsError
from muster_node.preparation import OtherSettings, read_description, require_same, settled
from muster_node.sets import MASTER, TRAIN
from muster_node.staging.standing import stored_sets
from muster_node.stores.base import Settings, Store, StoreError
from muster_node.stores.open import open_store
from muster_node.subjects import BadPattern

if TYPE_CHECKING:
    from pyspark import SparkContext

FEW_BYTES, FEW_VALUES = 4 << 20, 4 << 20
"""Up to so many bytes of files, and values of pixels to write, one processor needs seconds."""


def follow(context: SparkContext, total: int, path: str, done: threading.Event) -> None:
    """Write how many parts are finished to the progress file, twice a second, until `done`.

    A stage that has ended is not listed any more, but what was finished stays finished.
    """
    tracker, finished = context.statusTracker(), 0
    while not done.wait(0.5):
        stages = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
        finished = max(finished, sum(stage.numCompletedTasks for stage in stages if stage))
        files.report(path, f"preprocessing: {finished} of {total} parts")


def run(
    options: Options, sizes: Sequence[int], memory: int, progress: str, namenode: str = ""
) -> dict[str, Any]:
    """Make the sets of all sizes that are not there yet; return a summary.

    Args:
        options: what is made.
        sizes: at which sizes.
        memory: bytes that one task has.
        progress: path of the file that tells how far it is.
        namenode: URL of the NameNode, whose HDFS gets what there is to say for people; '' = nothing is told.

    Raises:
        Failure, StoreError, HdfsError, BadPattern: nothing can be made, in one line.
        OtherSettings: an asked set that is there was made with others.
    """
    settings = Settings.load()
    store, dataset = open_store(settings), options.dataset
    there = sets.sizes_made(dataset, (key for key, _ in store.names(f"{dataset}/{sets.TRAIN}_")))
    for size in set(sizes) & set(there):
        made_then = [each.made for each in stored_sets(store, dataset, size)]
        require_same(asdict(options), made_then, partial(read_description, store, dataset))
    wanted = [size for size in sizes if size not in there]
    if not wanted:
        return {"changed": False, "rows": {}, "notes": []}
    raw, tasks, job = plan(store, options, wanted, memory)
    keeps = options.masters and not job.cropped
    if keeps:
        forget_masters(store, dataset)
    made, left = made_before(settings, store, tasks, job)
    if left:
        made += work_alone(left, job, progress) if are_few(left, job) else work(left, job, wanted, progress)
    if keeps:
        store.put(sets.masters_key(dataset), list_masters(tasks, made, raw, job))
    told = [tell(store, Hdfs(namenode), made, job)] if namenode else []
    summary = publish(store, made, wanted, job)
    return summary | {"notes": summary["notes"] + told}


def plan(store: Store, options: Options, sizes: Sequence[int], memory: int) -> tuple[Raw, list[Task], Job]:
    """Return of what is made what: of intermediates where all that are needed are there, else of originals.

    Raises Failure, BadPattern, StoreError.
    """
    dataset = options.dataset
    known = settled(asdict(options), partial(read_description, store, dataset))
    options = replace(options, kind=known["kind"], multi_label=known["multi_label"])
    held = str((read_description(store, dataset) or {}).get(sets.HELD, ""))
    if raw := read_masters(store, options):
        options = _with_labels_of(raw, options)
        tasks, numbers = deal(raw.images, raw.labels, options, sizes, held)
        if tasks and are_there(tasks):
            job = Job(options, numbers, {}, raw.source, raw.label_counts, memory, cropped=True, held=held)
            return raw, tasks, job
    raw = read_raw(store, dataset)
    options = _with_labels_of(raw, options)
    wanted = [*sizes, MASTER] if options.masters else sizes
    tasks, numbers = deal(raw.images, raw.labels, options, wanted, held)
    if not tasks:
        raise Failure(f"the raw data of {dataset} has no images")
    if not any(task.part == sets.TRAIN for task in tasks):
        raise Failure(f"no image of {dataset} has a label: there is nothing to train on")
    packs = find_packs(store, dataset)
    return raw, tasks, Job(options, numbers, packs, raw.source, raw.label_counts, memory, held=held)


def _with_labels_of(raw: Raw, options: Options) -> Options:
    """Return the options with `multi_label` where an image has several, of which none may be lost."""
    several = any(sets.LABEL_SEPARATOR in label for label in raw.labels.values())
    return replace(options, multi_label=options.multi_label or several)


def are_few(tasks: Sequence[Task], job: Job) -> bool:
    """Say whether the parts are made sooner than executors have started."""
    if job.cropped:  # how much there is to read is not known
        return False
    content = sum(job.packs.values()) + sum(image.bytes for task in tasks for image in task.images)
    copies = {TRAIN: COPIES if job.options.augment else 1}
    pixels = sum(
        len(task.images) * copies.get(task.part, 1) * sum(size * size for size in task.sizes)
        for task in tasks
    )
    return content <= FEW_BYTES and pixels * job.options.channels <= FEW_VALUES


def work_alone(tasks: Sequence[Task], job: Job, progress: str) -> list[Made]:
    """Make parts here, one after the other; return what was made."""
    made: list[Made] = []
    for number, task in enumerate(tasks):
        files.report(progress, f"preprocessing: {number} of {len(tasks)} parts")
        made += make_part(task, job)
    return made


def work(tasks: Sequence[Task], job: Job, sizes: Sequence[int], progress: str) -> list[Made]:
    """Make parts on all machines; return what was made."""
    from pyspark import SparkConf, SparkContext  # takes a second, for which few images do not wait

    images = sum(len(task.images) for task in tasks)
    files.report(progress, f"preprocessing: starting Spark for {images} images")
    name = f"preprocess {job.options.dataset} {', '.join(map(str, sizes))}"
    context = SparkContext(conf=SparkConf().setAppName(name))
    context.setLogLevel("ERROR")
    done = threading.Event()
    watcher = threading.Thread(target=follow, args=(context, len(tasks), progress, done), daemon=True)
    watcher.start()
    try:
        made: list[Made] = (
            context.parallelize(tasks, len(tasks)).flatMap(partial(make_part, job=job)).collect()
        )
    finally:
        done.set()
        watcher.join()
    context.stop()
    return made


def main() -> None:
    """Run from spark-submit; the last line of standard output is the summary as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--dataset", required=True)
    add("--sizes", type=numbers_of, required=True, help="sides of the pictures in pixels: 16,64")
    add("--options", type=json.loads, default={}, help="how images become rows, as JSON")
    add("--namenode", default="", help="URL of the NameNode: HDFS gets report and contact sheet")
    add("--memory", type=int, default=MEMORY // MIB, help="MiB that a task has")
    told = os.environ.get("MUSTER_PROGRESS", "")
    add("--progress", default=told, help="file for a line about how far the program is")
    arguments = parser.parse_args()
    options = Options(arguments.dataset, **arguments.options)
    try:
        summary = run(
            options, arguments.sizes, arguments.memory * MIB, arguments.progress, arguments.namenode
        )
    except (Failure, BadPattern, OtherSettings, StoreError, HdfsError, OSError) as error:
        sys.exit(f"preprocess: {error}")
    print(json.dumps(summary))


def numbers_of(text: str) -> tuple[int, ...]:
    """Read sizes separated by commas, each once, from the smallest on. Raises ValueError."""
    return tuple(sorted({int(each) for each in text.split(",")}))


if __name__ == "__main__":
    main()
