"""Pictures of a study: the importance of each parameter, and all trials as parallel coordinates."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import optuna
from matplotlib import pyplot
from matplotlib.axes import Axes
from optuna.trial import TrialState

mpl.use("Agg")


def draw(study: optuna.Study, folder: Path) -> list[str]:
    """Write what can be drawn of a study; return the names of the files.

    Importance takes at least two trials that came to their end and differ.
    """
    plots = optuna.visualization.matplotlib
    complete = study.get_trials(states=(TrialState.COMPLETE,))
    wanted: dict[str, Callable[[optuna.Study], Axes]] = {}
    if complete:
        wanted["parallel_coordinates.png"] = plots.plot_parallel_coordinate
    if len({one.value for one in complete}) > 1:
        wanted["importance.png"] = plots.plot_param_importances
    for name, plot in wanted.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            plot(study)
        figure = pyplot.gcf()
        figure.set_size_inches(9, 5)
        figure.savefig(folder / name, dpi=120, bbox_inches="tight")
        pyplot.close(figure)
    return list(wanted)
