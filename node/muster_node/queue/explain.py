"""Running a program and, when it fails, saying why in one line."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from typing import IO, TextIO

from muster_node.queue import reason

LINES_KEPT = 5000
"""Of each stream."""


def explain(program: Sequence[str]) -> int:
    """Run a program as it is; when it fails, the last line of standard error says why. Returns its status.

    The reason may be in either stream: Spark's launcher sends a Python program's errors to standard output.
    """
    said: dict[TextIO, deque[str]] = {}  # each stream whole, and last the one that spoke last

    def pass_on(source: IO[str], target: TextIO) -> None:
        for line in source:
            said[target] = said.pop(target, deque(maxlen=LINES_KEPT))
            said[target].append(line)
            target.write(line)

    with subprocess.Popen(
        program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace"
    ) as running:
        streams = ((running.stdout, sys.stdout), (running.stderr, sys.stderr))
        readers = [threading.Thread(target=pass_on, args=pair) for pair in streams]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        status = running.wait()
    if status:
        log = "".join(line for stream in said.values() for line in stream)
        print(reason.find(log[-reason.TAIL_BYTES :], status=status), file=sys.stderr)
    return status if status >= 0 else 128 - status
