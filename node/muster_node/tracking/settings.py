"""Where the tracking server is and who asks it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

FILE = Path("/etc/muster/tracking.json")
"""On the master of a cluster whose feature `tracking` is switched on."""


class Untracked(Exception):
    """The tracking server does not do what was asked; the text is one line."""


@dataclass(frozen=True)
class Settings:
    """The server's URL and the user of jobs; `cluster` and `cluster_id`: whose history it is.

    `store`: what keeps artifacts besides the data disk: s3, swift or none.
    """

    url: str
    user: str
    password: str = field(repr=False)
    cluster: str
    cluster_id: str
    store: str = "none"

    @classmethod
    def load(cls) -> Settings | None:
        """Return the settings of this machine, None when nothing is tracked here. Raises Untracked."""
        try:
            return cls(**json.loads(FILE.read_text()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            raise Untracked(f"{FILE}: {error}") from error
