"""How pieces say what they do, wherever it is shown."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol


class Reporter(Protocol):
    """Where pieces say what they do. Both methods may be called from any thread."""

    def phase(self, name: str, detail: str = "") -> AbstractContextManager[None]:
        """Return a context manager around one phase: its seconds are recorded, progress is shown."""
        ...

    def say(self, text: str) -> None:
        """Show one line."""
        ...
