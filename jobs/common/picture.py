"""The confusion matrix, and tables of shares, as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def draw_confusion(matrix: NDArray[np.int64], *, title: str, subtitle: str, path: Path) -> None:
    """Write the matrix as a PNG: colours are shares of the true class, numbers are rows.

    Args:
        matrix: rows are true classes, columns predicted ones.
        title: the first line.
        subtitle: the second, smaller line.
        path: the file to write.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    classes = len(matrix)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = min(max(4.8, 0.55 * classes + 1.6), 14.0)
    figure, axes = pyplot.subplots(figsize=(side + 0.9, side + 0.5), layout="constrained")
    image = axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    axes.set_xticks(range(classes))
    axes.set_yticks(range(classes))
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xticks(np.arange(classes - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(classes - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=2)
    axes.tick_params(which="minor", length=0)
    size = 11 if classes <= 12 else 7
    for row, column in zip(*np.nonzero(matrix), strict=True):
        dark = shares[row, column] > 0.55
        axes.text(
            column, row, f"{matrix[row, column]:,}", ha="center", va="center", fontsize=size,
            color="white" if dark else "#1f2a44", fontweight="bold" if row == column else "normal",
        )  # fmt: skip
    bar = figure.colorbar(image, ax=axes, shrink=0.82, ticks=[0, 0.25, 0.5, 0.75, 1.0])
    bar.ax.set_yticklabels(["0 %", "25 %", "50 %", "75 %", "100 %"])
    bar.set_label("share of the true class")
    bar.outline.set_visible(False)
    axes.set_title(title, loc="left", pad=26, fontsize=14, fontweight="bold")
    axes.text(0, 1.02, subtitle, transform=axes.transAxes, fontsize=10, color="#555555")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def draw_table(
    shares: Sequence[Sequence[float | None]],
    *,
    down: Sequence[str],
    across: Sequence[str],
    title: str,
    path: Path,
) -> None:
    """Write a table of shares, such as accuracies, as a PNG: the higher, the darker.

    Args:
        shares: row by row, from 0 to 1; None = there is none.
        down: the names of rows.
        across: the names of columns.
        title: the line above.
        path: the file to write.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    known = np.array(shares, dtype=float)
    there = known[~np.isnan(known)]
    least, most = (there.min(), there.max()) if len(there) else (0.0, 1.0)
    figure, axes = pyplot.subplots(
        figsize=(1.5 * len(across) + 2.2, 0.7 * len(down) + 1.4), layout="constrained"
    )
    axes.imshow(known, cmap="Blues", vmin=least - (most - least) / 2, vmax=most, aspect="auto")
    axes.set_xticks(range(len(across)), across)
    axes.set_yticks(range(len(down)), down)
    axes.tick_params(length=0, top=True, bottom=False, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)
    for row, column in np.ndindex(known.shape):
        share = known[row, column]
        dark = share > (least + most) / 2
        axes.text(
            column, row, "none" if np.isnan(share) else f"{share:.2%}", ha="center", va="center", fontsize=12,
            color="white" if dark else "#1f2a44",
        )  # fmt: skip
    figure.suptitle(title, fontsize=12, fontweight="bold")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
