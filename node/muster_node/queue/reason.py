"""Why a run failed, in one line, read from the end of its log.

A failing Spark program prints up to 300 lines of stack traces of two languages. The line that helps is the
innermost cause: the exception that a Python worker raised, else the last `Caused by:`, else the exception
itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

TAIL_BYTES = 512 * 1024
"""How much of a log's end is looked at."""
LONGEST = 400
"""Characters of a reason."""

_CARRIED = re.compile(r"""\r+(?=[\n:;,.'"\u2019\u201d)\]>])""")
"""Carriage returns that end a line, or a word of a file from Windows within a message; others begin the line
anew, as a progress bar does."""
_TRACEBACK = "Traceback (most recent call last):"
_THREAD = re.compile(r'^Exception in thread "[^"]*" ')
_JAVA = re.compile(r"^(?:[a-z_][\w$]*\.)+[A-Z][\w$]*(?::|$)")
_LOG = re.compile(
    r"^\d\d(?:\d\d)?[/-]\d\d[/-]\d\d[ T]\d\d:\d\d:\d\d\S* (?:TRACE|DEBUG|INFO|WARN|ERROR|FATAL) "
)
_NOISE = re.compile(
    r"^\s|^$|^: |^Caused by: |^Driver stacktrace:|^\[Stage \d+:|^Exception ignored in|^WARNING: "
    r"|^Using Spark's default log4j|^Setting default log level|^To adjust logging level"
)
_HEAP = re.compile(r"java\.lang\.OutOfMemoryError:? ?(.*)")
_LOST = re.compile(r"ExecutorLostFailure \(executor (\S+).*?\) ?Reason: (.*)")
_JAVA_GONE = re.compile(r"^(?:[\w.]*\.)?(?:Connection\w*Error|Py4JNetworkError|Py4JError|EOFError)\b")
_WARNING = re.compile(r"^\d\d\S*[ T]\S+ WARN ")
_HELP = "take a smaller image size or batch, or machines with more memory"
_NO_FILE_SYSTEM = re.compile(
    r"No FileSystem for scheme:? \"?([a-z0-9]+)"
    r"|Class org\.apache\.hadoop\.fs\.([a-z0-9]+)\.\w*FileSystem not found"
)
_NO_CONTAINER = re.compile(r"s3a://([^/\s:,'\"]+).*(?:NoSuchBucket|specified bucket does not exist)")
_KILLED = re.compile(r"\b137\b|Remote RPC client disassociated")


def find(log: str, *, status: int | None, signal: int = 0, out_of_memory: bool = False) -> str:
    """Return the reason of a failure in one line.

    Args:
        log: the last part of what the program printed (see TAIL_BYTES).
        status: its exit status; None when it never ended by itself.
        signal: the number of the signal that killed it, else 0.
        out_of_memory: True when the kernel killed it for memory.
    """
    lines = [line.rstrip() for line in _CARRIED.sub("", log).replace("\r", "\n").split("\n")]
    if out_of_memory:
        return f"out of memory: the machine's memory was used up and the program was killed; {_HELP}"
    if signal:
        return f"ended by signal {signal}"
    if memory := _memory(_telling(lines)):
        return _short(memory)
    found = _python(lines) or _jvm(lines) or _last(lines)
    if not found:
        return (
            f"exit status {status}, and it said nothing" if status is not None else "it ended without a word"
        )
    if scheme := _NO_FILE_SYSTEM.search(found):
        found = (
            f"{scheme[1] or scheme[2]}:// is not offered here: data sets are in hdfs:/datasets, "
            "./muster put FILE hdfs:/PATH brings others; see docs/jobs.md"
        )
    if missing := _NO_CONTAINER.search(found):
        found = f"the cluster's object store has no container {missing[1]}, or these keys do not open it"
    suffix = "" if status in (0, 1, None) else f" (exit status {status})"
    return _short(found, room=len(suffix)) + suffix


def _telling(lines: Sequence[str]) -> Sequence[str]:
    """Return the lines that may say memory was missing.

    They are what the exception that ended the program says. What was said before it was survived: Spark tries
    a task again. All lines count when the exception is only that Java is gone; where there is none, all but
    the warnings do.
    """
    raised = _raised(lines)
    if raised >= 0:
        return lines if _JAVA_GONE.search(lines[raised]) else lines[raised:]
    begin = max((index for index, line in enumerate(lines) if _THREAD.match(line)), default=-1)
    return lines[begin:] if begin >= 0 else [line for line in lines if not _WARNING.match(line)]


def _memory(lines: Sequence[str]) -> str:
    """Return the reason when memory was what was missing, or an executor; else ''."""
    for line in reversed(lines):
        if heap := _HEAP.search(line):
            return f"out of memory in Java ({heap[1].rstrip(' .') or 'heap'}); {_HELP}"
        if lost := _LOST.search(line):
            if _KILLED.search(lost[2]):
                return f"executor {lost[1]} was killed, most likely out of memory; {_HELP}"
            return f"executor {lost[1]} was lost: {lost[2]}"
    return ""


def _raised(lines: Sequence[str]) -> int:
    """Return the index of the line with the exception of the last Python traceback, -1 when there is none."""
    begin = max((index for index, line in enumerate(lines) if line.endswith(_TRACEBACK)), default=-1)
    if begin < 0:
        return -1
    return next((index for index in range(begin + 1, len(lines)) if lines[index][:1].strip()), -1)


def _python(lines: Sequence[str]) -> str:
    """Return the exception of the last Python traceback, or the Java exception behind it; else ''."""
    raised = _raised(lines)
    if raised < 0:
        return ""
    text, after = lines[raised].removeprefix("pyspark.errors.exceptions.captured."), lines[raised + 1 :]
    if "Py4JJavaError" in text:
        outer = next((line[2:] for line in after if line.startswith(": ")), "")
        return _java_cause(outer, after) or text
    if text.endswith(":"):
        text += " " + next((line.strip() for line in after if line.strip()), "")
        return text
    words = _words(after)
    return f"{text}; {words[0]}" if len(words) == 1 else words[-1] if len(words) > 8 else text


def _jvm(lines: Sequence[str]) -> str:
    """Return the cause of the last exception that ended a Java thread, else ''."""
    begin = max((index for index, line in enumerate(lines) if _THREAD.match(line)), default=-1)
    return _java_cause(_THREAD.sub("", lines[begin]), lines[begin + 1 :]) if begin >= 0 else ""


def _java_cause(outer: str, after: Sequence[str]) -> str:
    """Return the last `Caused by:`, or `outer` when that already says the same and more."""
    causes = [line.removeprefix("Caused by: ") for line in after if line.startswith("Caused by: ")]
    if not causes or causes[-1] in outer:
        return outer
    return causes[-1]


def _last(lines: Sequence[str]) -> str:
    """Return the last line that says something, else the last error message of the log, else ''."""
    words = _words(lines)
    if words:
        return words[-1]
    errors = [
        _LOG.sub("", line) for line in lines if _LOG.match(line) and re.search(r" (ERROR|FATAL) ", line)
    ]
    return errors[-1] if errors else ""


def _words(lines: Sequence[str]) -> list[str]:
    """Return the lines that are neither log messages nor parts of stack traces."""
    return [line for line in lines if not (_NOISE.match(line) or _LOG.match(line) or _JAVA.match(line))]


def _short(text: str, room: int = 0) -> str:
    """Return the text in one line of at most LONGEST characters, `room` of them left free."""
    line = " ".join(text.split())
    return line if len(line) + room <= LONGEST else line[: LONGEST - room - 1] + "…"
