"""Numbers and tables as a person reads them."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

from provision.core.terminal import printable

_UNITS: dict[str, int] = {
    f"{prefix}{unit}": int(base**power)
    for unit, base in (("b", 1000), ("ib", 1024))
    for power, prefix in enumerate(("k", "m", "g", "t"), start=1)
}
_SIZE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*([kmgt]i?b)", re.IGNORECASE)


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return columns aligned for reading, without trailing blanks; a cell is one line."""
    cells = [[printable(str(cell)).replace("\n", " ") for cell in row] for row in (header, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )


def money(dollars: float | None) -> str:
    """Return US dollars to the cent, or to its hundredth where the price of an hour needs that."""
    if dollars is None:
        return "not known"
    if not dollars:
        return "free"
    rounded = f"{dollars:.4f}".rstrip("0")
    return f"${dollars:.2f}" if len(rounded.partition(".")[2]) <= 2 or dollars >= 10 else f"${rounded}"


def names_of(names: Sequence[str]) -> str:
    """Return names that can be read at a glance: up to eight, else the first, the last and how many."""
    return ", ".join(names) if len(names) <= 8 else f"{names[0]} … {names[-1]} ({len(names)} machines)"


def size(count: float) -> str:
    """Return a number of bytes as a person writes it (decimal units)."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def parse_size(text: str) -> int:
    """Return the bytes that `7GB`, `500 MB` or `6.5GiB` means. Raises ValueError, in one line."""
    match = _SIZE.fullmatch(text.strip())
    if not match or not (count := round(float(match[1]) * _UNITS[match[2].lower()])):
        raise ValueError(f"{text!r} is no amount of data; write it like 7GB, 500MB or 6.5GiB")
    return count


def last_line(text: str) -> str:
    """Return the last line that is not blank ('' when there is none)."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def moment(epoch: float) -> str:
    """Return a time as people write it, in this computer's time zone."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(epoch))


def duration(seconds: float) -> str:
    """Return seconds in words: `45 s`, `12 min`, `1 d 4 h`; negative ones are none."""
    whole = round(max(0.0, seconds) / 60)
    if seconds < 120:
        return f"{max(0.0, seconds):.0f} s"
    days, hours, rest = whole // 1440, whole // 60 % 24, whole % 60
    parts = [f"{count} {unit}" for count, unit in ((days, "d"), (hours, "h"), (rest, "min")) if count]
    return " ".join(parts[:2])
