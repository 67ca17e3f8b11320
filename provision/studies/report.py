"""What a sweep has found: a table (CSV), a plot (SVG), and the advised layouts against the best measured."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provision.core import files, templates
from provision.studies.diary import SUCCEEDED, Page, Result
from provision.studies.sweep import ADVISED, Combination, Sweep

TABLE, PLOT = "table.csv", "plot.svg"
_COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd")
_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BOTTOM = 760, 460, 70, 60, 580, 400
_FAILED_Y = _TOP + 4
"""Where runs that failed are marked: they have no time."""


@dataclass(frozen=True)
class Measured:
    """A combination and how it ended."""

    one: Combination
    result: Result

    @property
    def ok(self) -> bool:
        """Whether it has a time."""
        return self.result.state == SUCCEEDED

    @property
    def layout(self) -> str:
        """What Spark took, in words."""
        found = self.result
        return f"{found.executors} x {found.executor_cores} cores {found.executor_memory_mb} MiB"


def measured(sweep: Sweep, page: Page) -> list[Measured]:
    """Return what is known of the sweep's combinations, in the order of its file."""
    every = (one for shape in sweep.shapes for one in sweep.on(shape))
    return [Measured(one, page.results[sweep.key(one)]) for one in every if sweep.key(one) in page.results]


def write(sweep: Sweep, page: Page, folder: Path) -> list[Path]:
    """Write table and plot; return their places."""
    found = measured(sweep, page)
    files.write(folder / TABLE, as_csv(found), mode=0o644)
    files.write(folder / PLOT, as_svg(sweep, found), mode=0o644)
    return [folder / TABLE, folder / PLOT]


def as_csv(found: list[Measured]) -> str:
    """Return a line for each combination, with a header."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(_row(found[0])) if found else ["nodes"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(_row(each) for each in found)
    return stream.getvalue()


def comparisons(found: list[Measured]) -> Iterator[str]:
    """Yield, for each cluster and size, how the advised layout did against the best one that was measured."""
    groups: dict[tuple[object, int], list[Measured]] = {}
    for each in found:
        groups.setdefault((each.one.shape, each.one.size), []).append(each)
    for (shape, size), members in groups.items():
        where = f"{shape}; {size}x{size}"
        advised = next((each for each in members if each.one.layout is None), None)
        ended = [each for each in members if each.ok]
        if not ended:
            yield f"{where}: nothing ended well, of {len(members)} layouts"
            continue
        best = min(ended, key=lambda each: each.result.seconds)
        told = f"best {best.layout} ({best.result.seconds:.0f} s)"
        if advised is None:
            yield f"{where}: {told}; the advised layout was not tried"
        elif not advised.ok:
            yield f"{where}: {told}; advised {advised.layout} failed: {advised.result.reason}"
        else:
            ratio = advised.result.seconds / best.result.seconds if best.result.seconds else 1.0
            took = f"{advised.result.seconds:.0f} s, {ratio:.2f} x the best"
            yield f"{where}: {told}; advised {advised.layout} ({took}); {len(members) - len(ended)} failed"


def as_svg(sweep: Sweep, found: list[Measured]) -> str:
    """Return the plot: seconds against nodes, a line through the best of each size; failed runs marked."""
    nodes = sorted({each.one.shape.nodes for each in found}) or [1]
    longest = max((each.result.seconds for each in found if each.ok), default=1.0) or 1.0

    def x(count: int) -> int:
        step = (_RIGHT - _LEFT) // (len(nodes) + 1)
        return _LEFT + step * (nodes.index(count) + 1)

    def y(seconds: float) -> int:
        return round(_BOTTOM - (_BOTTOM - _TOP - 20) * seconds / longest)

    sizes = [size for size in sweep.sizes if any(each.one.size == size for each in found)]
    colours = {size: _COLOURS[index % len(_COLOURS)] for index, size in enumerate(sizes)}
    marks = [
        {
            "x": x(each.one.shape.nodes), "y": y(each.result.seconds) if each.ok else _FAILED_Y,
            "failed": not each.ok, "colour": colours[each.one.size], "text": str(each.one),
        }
        for each in found
    ]  # fmt: skip
    lines = []
    for size in sizes:
        best: dict[int, float] = {}
        for each in (one for one in found if one.ok and one.one.size == size):
            seconds, count = each.result.seconds, each.one.shape.nodes
            best[count] = min(seconds, best.get(count, seconds))
        points = " ".join(f"{x(count)},{y(seconds)}" for count, seconds in sorted(best.items()))
        lines.append({"points": points, "colour": colours[size], "text": f"{size} x {size}"})
    return templates.render(
        "sweep.svg.j2",
        width=_WIDTH, height=_HEIGHT, left=_LEFT, top=_TOP, right=_RIGHT, bottom=_BOTTOM,
        title=f"{_plain(sweep.name)}: {_plain(sweep.job)}",
        across=[{"at": x(count), "text": count} for count in nodes],
        upward=[{"at": y(longest * part / 4), "text": f"{longest * part / 4:.0f}"} for part in range(5)],
        lines=lines, marks=marks, failures=sum(not each.ok for each in found),
    )  # fmt: skip


def _plain(text: str) -> str:
    """Return a name as XML may hold it."""
    return "".join(letter if letter.isalnum() or letter in " ._-" else "_" for letter in text)


def _row(each: Measured) -> Mapping[str, Any]:
    one, found = each.one, each.result
    return {
        "nodes": one.shape.nodes,
        "cores": one.shape.scale.cores,
        "memory_gb": "" if one.shape.scale.memory_gb is None else f"{one.shape.scale.memory_gb:g}",
        "image_size": one.size,
        "layout": ADVISED if one.layout is None else "given",
        "executors": found.executors,
        "executor_cores": found.executor_cores,
        "executor_memory_mb": found.executor_memory_mb,
        "state": found.state,
        "seconds": found.seconds,
        "train_seconds": found.train_seconds,
        "accuracy": found.accuracy,
        "reason": found.reason,
        "run": found.run,
    }
