"""Which pictures a person should see: of each part some go to the driver, which puts them on one sheet."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy
from pictures import Prepared
from PIL import Image as Picture
from sheet import Entry, Pixels, choose, contact_sheet, features, outlyingness, thumbnail
from tasks import Image, Made
from writers import jpeg

PART_MOST = 8
"""Pictures of a part that go to the driver."""
UNLABELLED = "none"


class Gallery:
    """The pictures of a part, as thumbnails."""

    def __init__(self) -> None:
        self._shown: list[dict[str, Any]] = []
        self._features: list[tuple[float, ...]] = []

    def add(self, image: Image, prepared: Prepared) -> None:
        """Take a picture in."""
        smallest = prepared.pictures[min(prepared.pictures)]
        self._features.append(features(smallest, prepared.kept))
        self._shown.append(
            {
                "name": image.name,
                "label": image.label or UNLABELLED,
                "before": _packed(prepared.whole),
                "after": _packed(prepared.master),
                "note": "; ".join(prepared.notes),
            }
        )

    def best(self) -> list[dict[str, Any]]:
        """Return those that are most unlike the others of their class in this part, for `sheet_of`."""
        labels = [entry["label"] for entry in self._shown]
        scores = outlyingness(self._features, labels) if labels else []
        return [self._shown[index] | {"score": scores[index]} for index in choose(labels, scores, PART_MOST)]


def sheet_of(results: Iterable[Made], classes: Mapping[str, int], title: str) -> bytes:
    """Return the contact sheet of all parts, a PNG file."""
    names = {str(number): name for name, number in classes.items()}
    entries: dict[str, Entry] = {}
    totals: Counter[str] = Counter()
    parts = {(made.part, made.number): made for made in results}
    for made in parts.values():
        totals.update({names.get(label, label) or UNLABELLED: count for label, count in made.labels.items()})
    for made in results:
        for known in made.shown:
            label = names.get(known["label"], known["label"])
            before, after = _unpacked(known["before"]), _unpacked(known["after"])
            entries[known["name"]] = Entry(**{**known, "label": label, "before": before, "after": after})
    return contact_sheet([entries[name] for name in sorted(entries)], title, totals)


def _packed(pixels: Pixels) -> str:
    return base64.b64encode(jpeg(thumbnail(pixels))).decode()


def _unpacked(text: str) -> Pixels:
    return numpy.asarray(Picture.open(io.BytesIO(base64.b64decode(text))), dtype=numpy.uint8)
