"""A pass that was ended goes on where it was."""

from __future__ import annotations

from dataclasses import replace

from records import holds, left, read
from tasks import Image, Job, Made, Options, Task

from muster_node import sets
from muster_node.sets import SetFile

JOB = Job(Options("eyes"), {}, {}, {}, {}, 10)
TASK = Task(sets.TRAIN, 3, (16, 32), (Image("a.png", "0"),))


def test_a_record_is_read_as_it_was_written():
    made = Made(sets.TRAIN, 3, 16, rows=1, labels={"0": 1}, files=[SetFile("k", 1, "s", 1)])
    assert read(made.to_json()) == made
    for broken in (None, b"", b"{}", b'{"part": 1, "unheard": 2}'):
        assert read(broken) is None


def test_what_decides_the_bytes_decides_the_digest():
    digest = JOB.digest(TASK, 16)
    assert digest == replace(JOB, memory=99).digest(replace(TASK, sizes=(16,)), 16)
    others = [
        JOB.digest(TASK, 32),
        replace(JOB, options=Options("eyes", channels=1)).digest(TASK, 16),
        replace(JOB, source={"files": "1"}).digest(TASK, 16),
        JOB.digest(replace(TASK, images=(Image("a.png", "1"),)), 16),
    ]
    assert len({digest, *others}) == 5


def test_a_part_counts_only_with_its_files():
    made = Made(sets.TRAIN, 3, 16, memory=10, files=[SetFile("k", 7, "s", 1)])
    assert holds(made, {"k": 7}, 10) and not holds(made, {"k": 6}, 10) and not holds(made, {}, 10)


def test_with_other_memory_other_images_may_be_left_out():
    made = Made(sets.TRAIN, 3, 16, memory=10)
    assert holds(made, {}, 99)
    made.skipped = [{"image": "x", "reason": "large"}]
    assert holds(made, {}, 10) and not holds(made, {}, 99)


def test_only_sizes_that_are_not_made_are_left():
    found = {sets.record_key("eyes", sets.TRAIN, size, 3): Made(sets.TRAIN, 3, size) for size in (16, 32)}
    assert list(left([TASK], found, "eyes")) == []
    found.popitem()
    assert list(left([TASK], found, "eyes")) == [replace(TASK, sizes=(32,))]
