"""What the helper reports instead of a traceback."""

from __future__ import annotations


class HelperError(Exception):
    """A request that cannot be fulfilled.

    Args:
        message: one line: what happened and what to do.
        kind: `not_ready` (the computer), `refused` (the request), `exists`, `in_use`, `failed` (a command).
    """

    def __init__(self, message: str, *, kind: str = "failed") -> None:
        super().__init__(" ".join(message.split()))
        self.kind = kind
