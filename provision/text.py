"""Numbers and tables as a person reads them."""

from __future__ import annotations

from collections.abc import Sequence


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return columns aligned for reading, without trailing blanks."""
    cells = [[str(cell) for cell in row] for row in (header, *rows)]
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
