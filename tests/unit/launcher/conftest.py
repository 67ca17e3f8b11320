"""A folder that stands for HDFS, with runs in it, and the form served from it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import estimators
import numpy as np
import pytest
import uvicorn
from answering import Desk
from form import Form
from guard import Guard
from in_hdfs import Results
from sklearn.linear_model import LogisticRegression

from muster_node.hdfs.folder import Folder
from muster_node.sets import Manifest

MEMORY = 64 << 20
SIDE = 16
NAMES = ["dark", "light"]


def bright(share: float) -> np.ndarray:
    """A lamp of some brightness, at the top left of the dark, and something grey at the other end."""
    picture = np.zeros((SIDE, SIDE), np.uint8)
    picture[:8, :8] = round(share * 255)
    picture[-1, -1] = 60
    return picture


class Cluster:
    """What HDFS of a cluster has."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.results = Results(Folder(root))
        rows = np.stack([bright(step / 40).reshape(-1) for step in range(40)])
        self.model = LogisticRegression(C=1e-6).fit(rows, [step // 20 for step in range(40)])

    def stage(self, name: str = "lamps", **about: Any) -> None:
        """Stage a data set."""
        folder = self.root / "datasets" / name / f"train_{SIDE}"
        folder.mkdir(parents=True, exist_ok=True)
        known = Manifest(dataset=name, set=f"train_{SIDE}", size=SIDE, columns=1 + SIDE**2, **about)
        (folder / "_manifest.json").write_text(known.to_json())

    def run(self, name: str, *, model: bool = True, **metrics: Any) -> None:
        """Put a finished run's results there."""
        folder = self.root / "results" / name
        folder.mkdir(parents=True, exist_ok=True)
        known = {
            "job": "baseline",
            "dataset": "lamps",
            "image_size": SIDE,
            "pixels": SIDE**2,
            "accuracy": 0.5,
        }
        (folder / "metrics.json").write_text(json.dumps(known | {"class_names": NAMES} | metrics))
        if model:
            estimators.save(self.model, folder / estimators.FOLDER)


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    """HDFS without any run; the set `lamps` is staged."""
    made = Cluster(tmp_path / "hdfs")
    made.stage()
    return made


@pytest.fixture
def desk(cluster: Cluster, tmp_path: Path) -> Desk:
    """Who answers questions about pictures there."""
    return Desk(cluster.results, "lamps", MEMORY, tmp_path)


@pytest.fixture
def served(desk: Desk) -> Iterator[Callable[[], int]]:
    """Serves the form; returns its port."""
    made = uvicorn.Server(
        uvicorn.Config(Guard(Form(desk).app, "secret"), port=0, lifespan="off", ws="none", log_level="error")
    )
    thread = threading.Thread(target=made.run, daemon=True)
    thread.start()
    while not made.started:
        thread.join(0.01)
    yield lambda: int(made.servers[0].sockets[0].getsockname()[1])
    made.should_exit = True
    thread.join()
