"""Which image a cell of a table means."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
"""Of files that are images."""


class Names:
    """Finds images by what a table calls them: with or without suffix, with more folders or fewer."""

    def __init__(self, images: Iterable[str]) -> None:
        self._whole: dict[str, list[str]] = defaultdict(list)
        self._ends: dict[str, list[str]] = defaultdict(list)
        for image in images:
            path = PurePosixPath(_normal(image))
            for name in {str(path), str(path.with_suffix(""))}:
                self._whole[name].append(image)
                for end in _ends(name.split("/"))[1:]:
                    self._ends[end].append(image)

    def find(self, cell: str) -> list[str]:
        """Return the images that a cell may mean: several when it is ambiguous, none when it is a stranger.

        Folders that the source does not have, those of Windows too, may stand before an image's whole path,
        and folders of an image may be missing. `left/1.png` never means `right/1.png`.
        """
        written = _normal(cell)
        if written in self._whole:
            meant = self._whole[written]
            return [image for image in meant if _normal(image) == written] or meant
        parts = [part for part in written.replace("\\", "/").split("/") if part not in ("", ".")]
        ends = _ends(parts)
        found = next((self._whole[end] for end in ends if end in self._whole), None)
        return found or (self._ends.get(ends[0], []) if ends else [])

    def __contains__(self, cell: str) -> bool:
        return bool(self.find(cell))


def _ends(parts: Sequence[str]) -> list[str]:
    """Return a path, then that path without its first folder, and so on to the name alone."""
    return ["/".join(parts[begin:]) for begin in range(len(parts))]


def _normal(text: str) -> str:
    """Return a name in the one form of its accents, which macOS writes apart from their letters."""
    return unicodedata.normalize("NFC", text).strip()
