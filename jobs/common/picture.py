"""The confusion matrix as a picture."""

from __future__ import annotations

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
