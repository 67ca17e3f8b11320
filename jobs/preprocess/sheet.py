"""A contact sheet: pictures before and after, so that a person sees what was cropped."""

from __future__ import annotations

import io
import textwrap
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Pixels = NDArray[numpy.uint8]

MOST = 40
"""Pictures on a sheet."""
SIDE = 96
"""Pixels of a thumbnail's longer side."""
COLUMNS = 5
GAP, LINE = 6, 14
CELL = (2 * SIDE + 3 * GAP, SIDE + 3 * LINE + 2 * GAP)
"""Width and height of a picture before, the same after, and three lines below."""
HEAD = 24
PAPER, INK, NOTE, FRAME = (255, 255, 255), (0, 0, 0), (170, 40, 0), (200, 200, 200)
NOTE_LETTERS = 36
"""Letters of a note that surely fit on a line of a cell."""
LONGEST = 100
"""Letters of half a line of the sheet, and more."""
# A distance of less than so many grey levels is none, where all pictures of a class are alike.
LEAST = 2.0


@dataclass(frozen=True)
class Entry:
    """A picture on the sheet: `before` and `after` are thumbnails, `score` is its `outlyingness`."""

    name: str
    label: str
    before: Pixels
    after: Pixels
    note: str = ""
    score: float = 0.0


def thumbnail(pixels: Pixels, side: int = SIDE) -> Pixels:
    """Return a picture of (height, width, channels) in three channels, no side longer than `side`."""
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).convert("RGB")
    image.thumbnail((side, side), Image.Resampling.BOX)
    return numpy.asarray(image, dtype=numpy.uint8)


def features(picture: Pixels, kept: float) -> tuple[float, ...]:
    """Return what tells a picture from others, all from 0 to 255.

    The mean, the deviation and the share of black of a prepared picture, of a small one as well as of a large
    one, and `kept`, which part of the whole picture (0 to 1) is in it.
    """
    black = (picture.max(axis=2) < 16).mean()
    return float(picture.mean()), float(picture.std()), 255 * float(black), 255 * kept


def outlyingness(rows: Sequence[Sequence[float]], labels: Sequence[str]) -> list[float]:
    """Return for each row of features how far it is from its class.

    That is the distance from the median of the class, in median distances of the class, of the feature that
    is farthest.
    """
    table, classes = numpy.asarray(rows, dtype=float), numpy.asarray(labels)
    scores = numpy.zeros(len(labels))
    for label in set(labels):
        mine = classes == label
        apart = numpy.abs(table[mine] - numpy.median(table[mine], axis=0))
        scores[mine] = (apart / numpy.maximum(numpy.median(apart, axis=0), LEAST)).max(axis=1)
    return [float(score) for score in scores]


def choose(labels: Sequence[str], scores: Sequence[float], most: int = MOST) -> list[int]:
    """Return which pictures go on a sheet, by class, outliers first; every class has the same share."""
    members = defaultdict(list)
    for index in sorted(range(len(labels)), key=lambda index: (-scores[index], index)):
        members[labels[index]].append(index)
    ranked = [(rank, -scores[index], index) for each in members.values() for rank, index in enumerate(each)]
    chosen = {index for _, _, index in sorted(ranked)[:most]}
    order = sorted(members, key=lambda label: label.zfill(9) if label.isdecimal() else label)
    return [index for label in order for index in members[label] if index in chosen]


def contact_sheet(entries: Sequence[Entry], title: str, totals: Mapping[str, int]) -> bytes:
    """Return a PNG file of at most MOST pictures, before on the left and after on the right.

    Args:
        entries: all there are; see `choose` for which of them are shown.
        title: what the pictures are.
        totals: how many pictures each class has in all.
    """
    chosen = choose([entry.label for entry in entries], [entry.score for entry in entries])
    groups: dict[str, list[Entry]] = defaultdict(list)
    for index in chosen:
        groups[entries[index].label].append(entries[index])
    rows = sum(-(-len(group) // COLUMNS) for group in groups.values())
    size = (COLUMNS * CELL[0] + GAP, (1 + len(groups)) * HEAD + rows * CELL[1] + GAP)
    sheet = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.font = ImageFont.load_default(12)
    shown = f"{len(chosen)} of {sum(totals.values()):,} pictures, before and after, outliers first"
    _write(pen, (GAP, GAP), f"{title}: {shown}", size[0] - 2 * GAP)
    top = HEAD
    for label, group in groups.items():
        pen.line((GAP, top, size[0] - GAP, top), FRAME)
        head = f"class {label}: {len(group)} of {totals.get(label, len(group)):,}"
        _write(pen, (GAP, top + GAP), head, size[0] - 2 * GAP)
        top += HEAD
        for number, entry in enumerate(group):
            down, across = divmod(number, COLUMNS)
            _draw(sheet, pen, entry, (GAP + across * CELL[0], top + down * CELL[1]))
        top += -(-len(group) // COLUMNS) * CELL[1]
    content = io.BytesIO()
    sheet.save(content, "PNG")
    return content.getvalue()


def _draw(sheet: Image.Image, pen: ImageDraw.ImageDraw, entry: Entry, at: tuple[int, int]) -> None:
    """Draw an entry with its top left corner at `at`."""
    left, top = at
    for pixels, x in ((entry.before, left), (entry.after, left + SIDE + GAP)):
        image = Image.fromarray(thumbnail(pixels))
        pen.rectangle((x - 1, top - 1, x + SIDE, top + SIDE), outline=FRAME)
        sheet.paste(image, (x + (SIDE - image.width) // 2, top + (SIDE - image.height) // 2))
    width = CELL[0] - 2 * GAP
    _write(pen, (left, top + SIDE + 2), entry.name, width)
    for number, line in enumerate(textwrap.wrap(entry.note, NOTE_LETTERS)[:2], start=1):
        _write(pen, (left, top + SIDE + 2 + number * LINE), line, width, NOTE)


def _write(
    pen: ImageDraw.ImageDraw, at: tuple[int, int], text: str, width: int, colour: tuple[int, int, int] = INK
) -> None:
    """Write a line, without its middle where it is too long.

    Letters that are not ASCII, which Pillow's own font does not have, are written as Python escapes them.
    """
    known = ascii(text)[1:-1]
    line, half = known, min(len(known) // 2, LONGEST)
    while len(line) > 2 * LONGEST or (pen.textlength(line) > width and half > 1):
        half -= 1
        line = f"{known[:half]}...{known[-half:]}"
    pen.text(at, line, colour)
