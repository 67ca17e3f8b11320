"""What a run needs to go on after it was broken off: in HDFS, written anew after each epoch."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any

import hadoop
import torch
from publish import results_folder, results_in_hdfs
from resuming import BadCheckpoint

from muster_node.hdfs.folder import Folder
from muster_node.hdfs.webhdfs import Hdfs

NAME = "checkpoint.pt"
RUN = re.compile(r"[a-z0-9_][\w-]*", re.ASCII)


class Checkpoints:
    """The checkpoint of this run. `folder`: the run's, in HDFS.

    On a machine without HDFS it is among the run's results, which go there when the run has ended.
    """

    def __init__(self, hdfs: Hdfs | Folder, folder: str) -> None:
        self._hdfs, self._folder = hdfs, folder
        if hadoop.instead():
            self._hdfs, self._folder = Folder(results_folder()), ""

    def start(self, state: Mapping[str, Any] | None) -> None:
        """Begin with a state, or with nothing: what an earlier run has left here is gone."""
        if state:
            self.save(state)
        else:
            self._hdfs.remove(f"{self._folder}/{NAME}")

    def last(self) -> dict[str, Any] | None:
        """Return the state that was saved last, None when there is none."""
        return _read(self._hdfs, f"{self._folder}/{NAME}")

    def save(self, state: Mapping[str, Any]) -> None:
        """Write a state of tensors and plain values, over the one before: at once or not at all."""
        content, path = io.BytesIO(), f"{self._folder}/{NAME}"
        torch.save(dict(state), content)
        self._hdfs.make_folder(self._folder)
        self._hdfs.write(f"{path}.next", content, len(content.getbuffer()), copies=hadoop.copies())
        self._hdfs.replace(f"{path}.next", path)


def here() -> str:
    """Return the folder in HDFS of this run's results, from the root on."""
    folder = results_in_hdfs()
    return folder if folder.startswith("/") else f"/user/{hadoop.USER}/{folder}"


def load(hdfs: Hdfs | Folder, run: str) -> dict[str, Any]:
    """Return the last state of a run. Raises BadCheckpoint."""
    state = _read(hdfs, f"/results/{run}/{NAME}") if RUN.fullmatch(run) else None
    if state is None:
        raise BadCheckpoint(
            f"resume={run}: there is no /results/{run}/{NAME} in HDFS: ./muster jobs lists the runs; "
            "one that was broken off before its first epoch had ended has none"
        )
    return state


def _read(hdfs: Hdfs | Folder, path: str) -> dict[str, Any] | None:
    content = hdfs.read(path)
    if content is None:
        return None
    state: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return state
