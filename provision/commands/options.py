"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

from muster_node import sets


def known_size(value: int | None) -> int | None:
    """Return an image size. Raises typer.BadParameter when the data does not come in it."""
    if value is not None and value not in sets.SIZES:
        raise typer.BadParameter(f"{value} is no image size; choose one of {', '.join(map(str, sets.SIZES))}")
    return value


AsJson = Annotated[bool, typer.Option("--json", help="For a program to read.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
