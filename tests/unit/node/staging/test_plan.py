"""What is written into HDFS, and by whom."""

from __future__ import annotations

import random

from muster_node.sets import SetFile
from muster_node.staging import plan

MIB = 1 << 20


def objects(sizes: list[int], suffix: str = ".csv.gz") -> list[SetFile]:
    return [SetFile(f"d/train_16/part-{n:05d}{suffix}", size, "", 1) for n, size in enumerate(sizes)]


def jobs(sizes: list[int]) -> list[plan.Job]:
    found = plan.pieces(plan.staged_files(objects(sizes)), cut=True)
    return [plan.Job("train_16", "/x", piece) for piece in found]


def loads(sizes: list[int], count: int) -> list[int]:
    return [sum(job.piece.length for job in share) for share in plan.deal(jobs(sizes), count)]


def test_bytes_are_dealt_and_not_files():
    assert loads([30, 10, 10, 10], 2) == [30, 30]
    assert max(loads([MIB * 900, *[MIB] * 20], 3)) - min(loads([MIB * 900, *[MIB] * 20], 3)) <= 64 * MIB
    draw = random.Random(7)  # noqa: S311
    for _ in range(50):
        sizes = [draw.randint(1, 40 * MIB) for _ in range(60)]
        found = loads(sizes, 5)
        assert sum(found) == sum(sizes)
        assert max(found) - min(found) <= max(sizes)


def test_every_byte_of_a_large_object_is_in_one_range():
    (file,) = plan.staged_files(objects([200 * MIB + 5]))
    ranges = plan.pieces([file], cut=True)
    assert [piece.length for piece in ranges] == [64 * MIB] * 3 + [8 * MIB + 5]
    assert [piece.start for piece in ranges] == [0, 64 * MIB, 128 * MIB, 192 * MIB]
    assert sorted(piece.name for piece in ranges) == [piece.name for piece in ranges]
    assert [piece.whole for piece in plan.pieces([file], cut=False)] == [True]


def test_a_few_small_objects_stay_files_of_their_own():
    assert [file.name for file in plan.staged_files(objects([10] * 3))] == [
        f"part-0000{number}.csv.gz" for number in range(3)
    ]


def test_many_small_objects_are_packed_in_order():
    found = plan.staged_files(objects([100_000] * 1000))
    assert len(found) == 6
    assert found[0].name == "part-00000_to_part-00166.csv.gz"
    members = [member for file in found for member in file.members]
    assert members == objects([100_000] * 1000)
    assert all(file.bytes <= plan.PACK_BYTES for file in found)
    assert sum(file.rows for file in found) == 1000


def test_what_does_not_follow_on_another_file_is_not_packed():
    mixed = [*objects([10] * 200), *objects([10] * 3, ".parquet"), *objects([2 * MIB])]
    names = [file.name for file in plan.staged_files(mixed)]
    assert names[:4] == ["part-00000_to_part-00199.csv.gz", *(f"part-0000{n}.parquet" for n in range(3))]
    assert len(names) == 5


def test_an_empty_object_is_a_file_too():
    assert [piece.length for piece in plan.pieces(plan.staged_files(objects([0])), cut=True)] == [0]


def test_all_nodes_deal_alike_whatever_the_order():
    found = jobs([5, 3, 3, 9])
    assert plan.deal(found, 3) == plan.deal(found[::-1], 3)
