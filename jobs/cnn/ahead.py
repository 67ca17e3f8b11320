"""Work that is done before it is asked for, on threads of its own."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")
THREADS = min(os.cpu_count() or 1, 8)
"""Unpacking a picture needs no lock of Python's."""


def ahead(tasks: Iterable[Callable[[], Result]], threads: int = THREADS) -> Iterator[Result]:
    """Yield what tasks return, in their order, while the next ones are being done: two for each thread."""
    waiting = deque[Future[Result]]()
    with ThreadPoolExecutor(threads) as pool:
        for task in tasks:
            waiting.append(pool.submit(task))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
