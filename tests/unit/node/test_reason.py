"""The last line of a failed job's log, from logs as Spark 4.3 and Python 3.13 really wrote them (traces/)."""

from __future__ import annotations

from pathlib import Path

import pytest

from muster_node.queue import reason

TRACES = Path(__file__).parent / "traces"
WANTED = {
    "corrupt": "java.io.IOException: not a gzip file",
    "exit": "There is no data set of size 128: stage it first",
    "heap": "out of memory in Java (Java heap space)",
    "missing": "AnalysisException: [PATH_NOT_FOUND] Path does not exist: file:/no/such/data. SQLSTATE: 42K03",
    "noclass": "Error: Failed to load class org.example.Main.",
    "plain": "RuntimeError: the settings file is damaged",
    "rdd": "ValueError: invalid literal for int() with base 10: 'x3'",
    "refused": "java.net.ConnectException: Call From retina-master/10.77.1.10 to localhost:8020 failed",
    "shuffle": "SparkRuntimeException: [USER_RAISED_EXCEPTION] label 7 has no image",
    "udf": "KeyError: 'b'",
}


@pytest.mark.parametrize("name", sorted(WANTED))
def test_real_traces(name: str) -> None:
    found = reason.find((TRACES / f"{name}.log").read_text(), status=1)
    assert found.startswith(WANTED[name])
    assert "\n" not in found
    assert len(found) <= reason.LONGEST


def test_only_the_kernels_word_makes_a_kill_out_of_memory() -> None:
    log = (TRACES / "rdd.log").read_text()
    assert reason.find(log, status=1, out_of_memory=True).startswith("out of memory")
    assert reason.find(log, status=None, signal=9) == "ended by signal 9"
    assert reason.find("", status=137) == "exit status 137, and it said nothing"


LOST = (
    "26/11/22 05:51:38 WARN TaskSetManager: Lost task 1.0 in stage 0.0 (TID 1) (10.77.1.11 executor 2): "
    "ExecutorLostFailure (executor 2 exited caused by one of the running tasks) Reason: Command exited with code 137\n"
)


@pytest.mark.parametrize(
    ("end", "wanted"),
    [
        ("Traceback (most recent call last):\n  File x\nKeyError: 'label'\n", "KeyError: 'label'"),
        ('Exception in thread "main" java.lang.IllegalStateException: no label\n\tat a.B.c(B.java:1)\n',
         "java.lang.IllegalStateException: no label"),
        ("There is no data set of size 128: stage it first\n", "There is no data set of size 128: stage it first"),
    ],
)  # fmt: skip
def test_what_ended_the_job_beats_what_spark_tried_again(end: str, wanted: str) -> None:
    assert reason.find(LOST + end, status=1) == wanted


def test_java_gone_is_told_by_what_it_said_before() -> None:
    log = "java.lang.OutOfMemoryError: Java heap space\nTraceback (most recent call last):\n  File x\n"
    for gone in (
        "ConnectionRefusedError: [Errno 111] Connection refused",
        "py4j.protocol.Py4JNetworkError: gone",
    ):
        assert reason.find(log + gone, status=1).startswith("out of memory in Java (Java heap space)")


def test_a_lost_executor() -> None:
    line = (
        "org.apache.spark.SparkException: Job aborted due to stage failure: Task 1 in stage 3.0 failed 4 times, most "
        "recent failure: Lost task 1.3 in stage 3.0 (TID 9) (10.77.1.11 executor 2): ExecutorLostFailure "
        "(executor 2 exited caused by one of the running tasks) Reason: Command exited with code 137"
    )
    assert reason.find(f"Traceback (most recent call last):\n  File x\n{line}\n", status=1).startswith(
        "executor 2 was killed, most likely out of memory"
    )


@pytest.mark.parametrize(
    ("log", "status", "wanted"),
    [
        ("", 3, "exit status 3, and it said nothing"),
        ("./crlf.sh: line 2: exit: 0\r: numeric argument required\n", 2,
         "./crlf.sh: line 2: exit: 0: numeric argument required (exit status 2)"),
        ("python: can't open file '/x/train.py\r': [Errno 2] No such file\r\n", 1,
         "python: can't open file '/x/train.py': [Errno 2] No such file"),
        ("  1%|   | 1/99\r 99%|## | 98/99\rno room\r\n", 1, "no room"),
        ("10%\r20%\rTraceback (most recent call last):\r\n  File x\r\nKeyError: 'b'\r\n", 1, "KeyError: 'b'"),
        ("bash: line 1: foo: command not found\n", 127, "bash: line 1: foo: command not found (exit status 127)"),
        ("all well\n\n26/11/22 05:51:44 INFO ShutdownHookManager: Shutdown hook called\n", 2, "all well (exit status 2)"),
        ("Traceback (most recent call last):\n  File x\nKeyError: 'b'\nNo label: give --label\n", 1,
         "KeyError: 'b'; No label: give --label"),
        ("Traceback (most recent call last):\n  File x\nRuntimeError: CUDA error\nkernel errors might be\nFor debugging\n",
         1, "RuntimeError: CUDA error"),
        (('Exception in thread "main" java.lang.IllegalStateException: outer\n\tat a.B.c(B.java:1)\n'
         "Caused by: java.io.FileNotFoundException: /data/x (No such file)\n\t... 3 more\n"), 1,
         "java.io.FileNotFoundException: /data/x (No such file)"),
        ("26/11/22 05:51:44 ERROR SparkContext: Error initializing SparkContext.\n", 1,
         "SparkContext: Error initializing SparkContext."),
    ],
)  # fmt: skip
def test_other_ends(log: str, status: int, wanted: str) -> None:
    assert reason.find(log, status=status) == wanted


def test_a_container_that_is_not_there_is_named() -> None:
    log = (
        "Traceback (most recent call last):\n  File x\npy4j.protocol.Py4JJavaError: An error\n"
        ": java.io.FileNotFoundException: getFileStatus on s3a://other/x: "
        "software.amazon.awssdk.services.s3.model.NoSuchBucketException: The specified bucket does not exist "
        "(Service: S3, Status Code: 404, Request ID: tx1)\n\tat a.B.c(B.java:1)\n"
    )
    wanted = "the cluster's object store has no container other, or these keys do not open it"
    assert reason.find(log, status=1) == wanted


@pytest.mark.parametrize(
    ("line", "scheme"),
    [
        ("java.lang.RuntimeException: java.lang.ClassNotFoundException: Class org.apache.hadoop.fs.s3a.S3AFileSystem not found", "s3a"),
        ('org.apache.hadoop.fs.UnsupportedFileSystemException: No FileSystem for scheme "gs"', "gs"),
    ],
)  # fmt: skip
def test_a_store_that_spark_cannot_read_is_named_with_what_to_use_instead(line: str, scheme: str) -> None:
    log = f"Traceback (most recent call last):\n  File x\npy4j.protocol.Py4JJavaError: An error\n: {line}\n\tat a.B.c(B.java:1)\n"
    wanted = f"{scheme}:// is not offered here: data sets are in hdfs:/datasets, ./muster put FILE hdfs:/PATH"
    assert reason.find(log, status=1).startswith(wanted)
