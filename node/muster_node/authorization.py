"""The header with which HTTP lets in who has a password."""

from __future__ import annotations

import base64


def basic(user: str, password: str) -> str:
    """Return the value of `Authorization` in basic authentication (RFC 7617)."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
