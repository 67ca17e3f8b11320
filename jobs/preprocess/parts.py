"""What an executor does: fetch the images of one part, prepare them, write the part at each size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from decoding import MIB, CorruptImage
from fetching import contents, objects
from gallery import Gallery
from numpy import uint8
from numpy.typing import NDArray
from pictures import Prepared, Recipe, augment, prepare
from tasks import COPIES, Image, Job, Made, Task
from writers import CsvFile, MastersFile, ParquetFile, PartFile

from muster_node import sets
from muster_node.sets import MASTER, SIZES, TRAIN, SetFile, split_labels
from muster_node.stores.base import Settings, Store
from muster_node.stores.open import open_store

FETCH_SHARE = 4
"""Images fetched ahead have one part in so many of a task's memory, the picture in work has the others."""
ANY_COLOUR = 255
"""A tolerance with which no border is cut off: intermediates have none."""


def make_part(task: Task, job: Job) -> list[Made]:
    """Make one part at all its sizes; runs on an executor. Raises StoreError, OSError.

    Images that are damaged or too large are noted and left out.
    """
    settings, part = Settings.load(), Part(task, job)
    ahead = job.memory // FETCH_SHARE
    memory = job.memory - ahead
    fit = [image for image in task.images if not part.refuses(image, memory)]
    wanted = objects(fit, job.options.dataset, job.packs)
    for image, content in contents(wanted, settings, ahead):
        try:
            part.add(image, prepare_one(content, part.recipe, memory))
        except CorruptImage as error:
            part.leave_out(image, str(error))
    store = open_store(settings)
    return [part.publish(store, size) for size in task.sizes]


def prepare_one(content: bytes | None, recipe: Recipe, memory: int) -> Prepared:
    """Prepare a picture; None stands for one that the store has no more. Raises CorruptImage."""
    if content is None:
        raise CorruptImage("the object store lists it, but does not have it")
    return prepare(content, recipe, memory)


class Part:
    """A part in the making, at all its sizes."""

    def __init__(self, task: Task, job: Job) -> None:
        self.task, self.job = task, job
        options = job.options
        sizes = tuple(size for size in task.sizes if size != MASTER) or SIZES[:1]
        detail = {"detail": MASTER} if options.masters else {}
        self.recipe = (
            Recipe("plain", sizes, options.channels, ANY_COLOUR)
            if job.cropped
            else Recipe(options.kind or "plain", sizes, options.channels, options.tolerance, **detail)
        )
        self.copies = options.augment and task.part == TRAIN
        self.files = {size: self._files(size) for size in task.sizes}
        self.labels: Counter[str] = Counter()
        self.used = 0
        self.gallery = Gallery()
        self.skipped: list[dict[str, str]] = []
        self.notes: list[dict[str, str]] = []

    def _files(self, size: int) -> list[PartFile]:
        if size == MASTER:
            return [MastersFile()]
        options = self.job.options
        made: list[PartFile] = []
        if "csv" in options.formats:
            made.append(CsvFile())
        if "parquet" in options.formats:
            made.append(
                ParquetFile(
                    size=size,
                    channels=options.channels,
                    classes=self.job.classes,
                    multi_label=options.multi_label,
                )
            )
        return made

    def refuses(self, image: Image, memory: int) -> bool:
        """Say whether an image is left out unseen, and note why: it was before, or is too large a file."""
        if image.reason:
            self.leave_out(image, image.reason)
        elif image.bytes > memory:
            self.leave_out(image, f"a file of {image.bytes // MIB} MiB, a task has {memory // MIB}")
        else:
            return False
        return True

    def leave_out(self, image: Image, reason: str) -> None:
        """Note that an image is left out."""
        self.skipped.append({"image": image.name, "reason": reason})

    def add(self, image: Image, prepared: Prepared) -> None:
        """Write the rows of an image."""
        said = image.notes or prepared.notes
        self.notes += [{"image": image.name, "note": note} for note in said]
        for size, files in self.files.items():
            picture = prepared.master if size == MASTER else prepared.pictures[size]
            rows = copies(image, picture) if self.copies and size != MASTER else ((image, picture),)
            for row in rows:
                for file in files:
                    file.add(*row)
        self.labels.update(split_labels(image.label))
        self.used += 1
        self.gallery.add(image, prepared)

    def publish(self, store: Store, size: int) -> Made:
        """Write the files of one size to the store, and after them the record of it; return that."""
        task, dataset = self.task, self.job.options.dataset
        rows = self.used * (COPIES if self.copies and size != MASTER else 1)
        made = Made(
            task.part, task.number, size,
            digest=self.job.digest(task, size), memory=self.job.memory, images=len(task.images), rows=rows,
            labels=dict(sorted(self.labels.items())), skipped=self.skipped, notes=self.notes,
            shown=self.gallery.best() if size == task.sizes[0] else [],
        )  # fmt: skip
        objects = []
        for file in self.files[size]:
            done = file.finish()
            key = sets.part_key(dataset, task.part, size, task.number, file.suffix)
            with done.file:
                if rows:
                    store.upload(key, done.file, done.bytes)
                    objects.append(SetFile(key, done.bytes, done.sha256, rows))
            made.places = done.places
        made.files = objects
        store.put(sets.record_key(dataset, task.part, size, task.number), made.to_json())
        return made


def copies(image: Image, picture: NDArray[uint8]) -> Iterator[tuple[Image, NDArray[uint8]]]:
    """Yield a picture turned and mirrored in all ways, each with a name of its own: `1.png@m_r90`."""
    for number, (turn, copy) in enumerate(augment(picture)):
        yield (replace(image, name=f"{image.name}@{turn}") if number else image), copy
