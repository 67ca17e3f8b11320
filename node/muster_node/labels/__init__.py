"""Labels of images, from tables as people and programs write them."""

from __future__ import annotations

from muster_node.labels.reading import read
from muster_node.labels.report import BadLabel, BadLabels, Labels, LabelsError

__all__ = ["BadLabel", "BadLabels", "Labels", "LabelsError", "read"]
