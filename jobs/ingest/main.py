"""A data set's sources become raw data in the object store, fetched by all machines of the cluster at once.

`./muster ingest FILE.yml` submits it with the description of the data set beside this file. It may be killed
at any time: what is in the store is written down there, and the next run goes on from it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from functools import partial
from pathlib import Path

from pyspark import SparkConf, SparkContext

from muster_node.ingest import dealing, pieces
from muster_node.ingest.ending import Ended, finish
from muster_node.ingest.opening import Opened, open_sources
from muster_node.ingest.pieces import Lane, Task
from muster_node.ingest.progress import Progress
from muster_node.ingest.request import REQUEST, BadSource, Request
from muster_node.labels.report import LabelsError
from muster_node.stores.base import StoreError

HERE = Path(__file__).parent


def run(request: Request, results: Path) -> Ended:
    """Bring everything in. Raises BadSource, LabelsError, StoreError."""
    opened = open_sources(request, HERE)
    if opened.ended:
        return opened.ended
    context = SparkContext(conf=SparkConf().setAppName(f"ingest {request.dataset}"))
    context.setLogLevel("ERROR")
    try:
        wrong = fetch(context, opened)
        if again := opened.missed():
            print(f"{len(again)} images did not come for now: once more", flush=True)
            wrong += fetch(context, opened.once_more(again))
    finally:
        context.stop()
    if wrong:
        kept = sum(len(piece.names) for piece in opened.task.journal().every())
        what = "; ".join(dict.fromkeys(wrong))
        raise BadSource(f"{what} ({kept:,} images are in the store, and are not fetched again)")
    return finish(opened.task, opened.table, results)


def fetch(context: SparkContext, opened: Opened) -> list[str]:
    """Do all pieces that are not done; return what is wrong with sources. Raises StoreError."""
    urls = opened.task.request.urls
    lanes = dealing.lanes(opened.pieces, context.defaultParallelism, urls.per_host if urls else 1)
    with Progress(opened.task, dealing.total_units(opened.pieces, opened.task.found), opened.unit):
        work = partial(_work, task=opened.task)
        found = context.parallelize(lanes, len(lanes)).map(work).collect() if lanes else []
    return [each for wrong in found for each in wrong]


def _work(lane: Lane, task: Task) -> list[str]:
    return pieces.work(lane, task)


def main() -> None:
    """Run from the queue of jobs; the last line of standard output says what came."""
    file, results = HERE / REQUEST, Path(os.environ["MUSTER_RESULTS"])
    if not file.is_file():
        sys.exit("ingest: it needs the description of a data set; submit it with ./muster ingest FILE.yml")
    begin = time.monotonic()
    try:
        ended = run(Request.from_json(file.read_text()), results)
    except (BadSource, LabelsError, StoreError) as error:
        sys.exit(f"ingest: {error}")
    ended.metrics["seconds"] = round(time.monotonic() - begin, 1)
    (results / "metrics.json").write_text(json.dumps(ended.metrics, indent=1))
    print("\n".join(ended.lines))


if __name__ == "__main__":
    main()
