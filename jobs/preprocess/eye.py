"""The fundus, the round part of an eye's photograph, is found as a circle and cropped.

All sums are of whole numbers, and there are no angles: any processor finds the same circle to the last bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Floats = NDArray[numpy.float64]
Mask = NDArray[numpy.bool_]

SEARCH_SIDE = 256
"""The circle is looked for in a copy with a longer side of about so many pixels."""
TOLERANCE = 0.02
"""A point this part of the radius away from the circle, or nearer, is on it."""
RADII = (0.15, 1.0)
"""Shortest and longest radius, as parts of the longer side."""
TRIPLES = 200
FOUND, GOOD, BETTER = 0.75, 0.95, 0.02
"""A circle worth less is none; one worth more ends the search; one worth so much more replaces another."""
DARK = 60
"""Where half of the disc is not so many grey levels above the background, the picture is dark."""
DIRECTIONS = numpy.array(
    [[round(1e6 * turn(math.tau * step / 120)) / 1e6 for turn in (math.cos, math.sin)] for step in range(120)]
)
"""Points of the circle around (0, 0) with radius 1, the first at the right, then downwards."""
SIDES = {"top": 90, "bottom": 30, "left": 60, "right": 0}
"""Which of the directions leads there."""


@dataclass(frozen=True)
class Disc:
    """A circle in a picture, in pixels from its top left corner; the first pixel's centre is (0.5, 0.5).

    `threshold`: grey levels from the background at which the disc begins; `dark`: it had to be a low one.
    `cut`: the sides where the disc is cut off, by the picture's edge or within it.
    """

    x: float
    y: float
    radius: float
    threshold: int
    dark: bool
    cut: tuple[str, ...]

    def notes(self) -> tuple[str, ...]:
        """What a person should know about it."""
        cut = (f"disc cut off at {' and '.join(self.cut)}",) if self.cut else ()
        dark = (f"dark: threshold {self.threshold}",) if self.dark else ()
        return (*cut, *dark)


def find_disc(pixels: NDArray[numpy.uint8]) -> Disc | None:
    """Return the disc of a picture of (height, width, channels); None when there is none.

    The disc is what differs from the colour of the corners by more than a threshold. Several are tried: of
    the circles along the outlines it is the one that agrees best with what it encloses.
    """
    factor = max(round(max(pixels.shape[:2]) / SEARCH_SIDE), 1)
    distance, floor = _distance(_reduced(pixels, factor))
    best, worth = None, FOUND - BETTER
    for threshold in _thresholds(distance, floor):
        whole = _smooth(distance > threshold)
        if not whole.any():
            continue
        mask, left, top = _trimmed(whole)
        circle = _fit(_outline(mask), max(distance.shape))
        if circle is None:
            continue
        found = _worth(mask, circle)
        if found > worth + BETTER:
            x, y, radius = (float(value) * factor for value in circle + numpy.array((left, top, 0)))
            dark = bool(numpy.median(distance[whole]) < DARK)
            best, worth = Disc(x, y, radius, threshold, dark, _cut(mask, circle)), found
        if worth > GOOD:
            break
    return best


def crop_disc(pixels: NDArray[numpy.uint8], disc: Disc) -> NDArray[numpy.uint8]:
    """Return the square around the disc; what of it is outside of the picture is black."""
    side = max(round(2 * disc.radius), 1)
    left, top = round(disc.x - side / 2), round(disc.y - side / 2)
    square = numpy.zeros((side, side, pixels.shape[2]), dtype=numpy.uint8)
    seen = pixels[max(top, 0) : top + side, max(left, 0) : left + side]
    down, across = max(-top, 0), max(-left, 0)
    square[down : down + seen.shape[0], across : across + seen.shape[1]] = seen
    return square


def _reduced(pixels: NDArray[numpy.uint8], factor: int) -> NDArray[numpy.uint8]:
    """Return the picture averaged down."""
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    small = image.reduce(factor)
    return numpy.asarray(small, dtype=numpy.uint8).reshape(small.height, small.width, -1)


def _distance(small: NDArray[numpy.uint8]) -> tuple[NDArray[numpy.uint8], int]:
    """Return how far each pixel is from the background, and the distance that background itself reaches.

    Background is what the corners have in common: of one that is covered the others do not take notice.
    """
    rows, columns = (max(side // 25, 1) for side in small.shape[:2])
    corners = [
        small[down, across].reshape(-1, small.shape[2])
        for down in (slice(None, rows), slice(-rows, None))
        for across in (slice(None, columns), slice(-columns, None))
    ]
    medians = numpy.array([numpy.median(corner, axis=0) for corner in corners])
    colour = numpy.sort(medians, axis=0)[1].astype(numpy.uint8)
    distance: NDArray[numpy.uint8] = (numpy.maximum(small, colour) - numpy.minimum(small, colour)).max(axis=2)
    reach = sorted(
        float(numpy.quantile(numpy.maximum(corner, colour) - numpy.minimum(corner, colour), 0.98))
        for corner in corners
    )
    return distance, int(reach[1]) + 2


def _thresholds(distance: NDArray[numpy.uint8], floor: int) -> list[int]:
    """Return the thresholds to try: parts of Otsu's, and just above the background's own distance."""
    counts = numpy.bincount(distance.ravel(), minlength=256)
    levels = numpy.arange(256)
    below, sums = numpy.cumsum(counts), numpy.cumsum(counts * levels)
    above = below[-1] - below
    with numpy.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    between = numpy.nan_to_num(between, posinf=0)
    otsu = int(numpy.flatnonzero(between == between.max())[[0, -1]].sum() // 2)
    wanted = [max(threshold, floor) for threshold in (otsu // 4, otsu // 2, floor, otsu)]
    return list(dict.fromkeys(wanted))


def _smooth(mask: Mask) -> Mask:
    """Return what most pixels around each say: thin letters and specks go."""
    image = Image.fromarray(mask.astype(numpy.uint8) * 255).filter(ImageFilter.BoxBlur(2))
    return numpy.asarray(image) > 127


def _trimmed(mask: Mask) -> tuple[Mask, int, int]:
    """Return what of the mask is not empty all along, and where it begins (x, y).

    A disc that was cut off within the picture is then one that its edge cuts off.
    """
    rows, columns = numpy.flatnonzero(mask.any(axis=1)), numpy.flatnonzero(mask.any(axis=0))
    return mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], int(columns[0]), int(rows[0])


def _outline(mask: Mask) -> Floats:
    """Return the ends of each row and column as points (x, y), but for those on the picture's edge."""
    points = []
    for rows, swap in ((mask, False), (mask.T, True)):
        lines = numpy.flatnonzero(rows.any(axis=1))
        first = rows[lines].argmax(axis=1)
        last = rows.shape[1] - rows[lines, ::-1].argmax(axis=1)
        for edge in (first, last):
            inside = (edge > 1) & (edge < rows.shape[1] - 1) & (lines > 1) & (lines < rows.shape[0] - 2)
            pair = (edge[inside], lines[inside] + 0.5)
            points.append(numpy.stack(pair[::-1] if swap else pair, axis=1))
    return numpy.concatenate(points).astype(float)


def _fit(points: Floats, longer: int) -> Floats | None:
    """Return the circle (x, y, radius) that most points are on; None where there are too few.

    Circles through three points each are tried, always the same ones, then the best is fitted to all points
    on it by least squares: notches, tags and straight edges have no say.
    """
    if len(points) < 20:
        return None
    chance = numpy.random.default_rng(2016)
    circles = _through(points[chance.integers(0, len(points), (TRIPLES, 3))])
    circles = circles[(circles[:, 2] > RADII[0] * longer) & (circles[:, 2] < RADII[1] * longer)]
    if not len(circles):
        return None
    near = _apart(circles, points) < TOLERANCE * circles[:, 2:]
    circle = circles[near.sum(axis=1).argmax()]
    for _ in range(5):
        on = points[_apart(circle[None], points)[0] < TOLERANCE * circle[2]]
        nearer = _least_squares(on)
        if nearer is None:
            return None
        circle = nearer
    return circle if RADII[0] * longer < circle[2] < RADII[1] * longer else None


def _least_squares(points: Floats) -> Floats | None:
    """Return the circle for which x² + y² = a x + b y + c is best for all points; None for points in a line.

    Coordinates are halves, so twice each is a whole number.
    """
    x, y = (2 * points).astype(numpy.int64).T
    w = x * x + y * y
    n, sx, sy, sw = len(points), int(x.sum()), int(y.sum()), int(w.sum())
    xx, xy, yy = n * int(x @ x) - sx * sx, n * int(x @ y) - sx * sy, n * int(y @ y) - sy * sy
    xw, yw = n * int(x @ w) - sx * sw, n * int(y @ w) - sy * sw
    if not (whole := xx * yy - xy * xy):
        return None
    a, b = (xw * yy - yw * xy) / whole, (yw * xx - xw * xy) / whole
    radius = math.sqrt((sw - a * sx - b * sy) / n + a * a / 4 + b * b / 4)
    return numpy.array([a / 2, b / 2, radius]) / 2


def _through(triples: Floats) -> Floats:
    """Return the circles through triples of points (n, 3, 2); triples that are in a line are left out."""
    first = triples[:, 0]
    b, c = triples[:, 1] - first, triples[:, 2] - first
    twice = 2 * (b[:, 0] * c[:, 1] - b[:, 1] * c[:, 0])
    bent = numpy.abs(twice) > 1e-6
    first, b, c, twice = first[bent], b[bent], c[bent], twice[bent]
    bb, cc = b[:, 0] * b[:, 0] + b[:, 1] * b[:, 1], c[:, 0] * c[:, 0] + c[:, 1] * c[:, 1]
    x = (c[:, 1] * bb - b[:, 1] * cc) / twice
    y = (b[:, 0] * cc - c[:, 0] * bb) / twice
    return numpy.column_stack((first[:, 0] + x, first[:, 1] + y, numpy.sqrt(x * x + y * y)))


def _apart(circles: Floats, points: Floats) -> Floats:
    """Return how far each point is from the line of each circle: (circles, points)."""
    x, y, radius = (circles[:, i, None] for i in range(3))
    right, down = points[:, 0] - x, points[:, 1] - y
    away: Floats = numpy.abs(numpy.sqrt(right * right + down * down) - radius)
    return away


def _worth(mask: Mask, circle: Floats) -> float:
    """Return from 0 to 1 how well a circle and a mask agree, as far as the circle is in the picture.

    Something square or ragged is no disc: too much of it is outside of any circle, too little inside. Where
    the picture's edge cuts the circle the disc has to be cut as well, all along.
    """
    inside = _filled(mask.shape, circle, 1 + TOLERANCE)
    both = (mask & inside).sum()
    enclosed, filled = both / max(mask.sum(), 1), both / max(inside.sum(), 1)
    core = _rim(_filled(mask.shape, circle, 1 - 2 * TOLERANCE))
    straight = (_rim(mask) & core).sum() / core.sum() if core.any() else 1.0
    seen = _on_circle(mask, circle)
    round_part = (seen == 1).sum() / max((seen >= 0).sum(), 1)
    if enclosed < 0.9 or (seen == 1).mean() < 0.2:
        return 0.0
    return float(enclosed * filled * straight * round_part)


def _filled(shape: tuple[int, ...], circle: Floats, scale: float) -> Mask:
    """Return the mask of a circle with `scale` times its radius."""
    rows, columns = numpy.ogrid[: shape[0], : shape[1]]
    x, y, radius = circle
    inside: Mask = (columns + 0.5 - x) ** 2 + (rows + 0.5 - y) ** 2 <= (radius * scale) ** 2
    return inside


def _rim(mask: Mask) -> Mask:
    """Return the lines of a mask along the picture's edges, as one."""
    depth = min(3, *mask.shape)
    return numpy.concatenate((mask[depth - 1], mask[-depth], mask[:, depth - 1], mask[:, -depth]))


def _on_circle(mask: Mask, circle: Floats) -> NDArray[numpy.int64]:
    """Look in all directions: 1 where the mask ends at the circle, 0 where not, -1 outside of the picture."""
    samples = []
    for scale in (1 - 3 * TOLERANCE, 1 + 3 * TOLERANCE):
        x, y = numpy.floor(circle[:2] + circle[2] * scale * DIRECTIONS).astype(int).T
        there = (x >= 0) & (x < mask.shape[1]) & (y >= 0) & (y < mask.shape[0])
        value = numpy.full(len(DIRECTIONS), -1)
        value[there] = mask[y[there], x[there]]
        samples.append(value)
    within, beyond = samples
    return numpy.where(within < 0, -1, ((within == 1) & (beyond < 1)).astype(int))


def _cut(mask: Mask, circle: Floats) -> tuple[str, ...]:
    """Return the sides where the mask does not end at most of the circle's sixth around them."""
    seen = _on_circle(mask, circle) == 1
    sixth = numpy.arange(-10, 10)
    return tuple(side for side, middle in SIDES.items() if seen[(middle + sixth) % len(seen)].sum() < 10)
