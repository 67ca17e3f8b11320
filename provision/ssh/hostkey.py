"""A machine's own host key as a label at its provider, so that it can be pinned again without the state."""

from __future__ import annotations

import base64
import binascii
import re

from provision.core.model import Machine

LABEL = "host_key"
_KIND = "ssh-ed25519"
_PREFIX = b"\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20"
_TEXT = re.compile(r"ed25519-([0-9a-f]{64})")


def to_label(host_key: str) -> str:
    """Return `ssh-ed25519 BASE64` in letters that every provider takes; '' for keys of other kinds."""
    kind, _, encoded = host_key.partition(" ")
    try:
        blob = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        return ""
    if kind != _KIND or not blob.startswith(_PREFIX) or len(blob) != len(_PREFIX) + 32:
        return ""
    return f"ed25519-{blob[len(_PREFIX) :].hex()}"


def of(machine: Machine) -> str:
    """Return the host key that a machine's labels name, `ssh-ed25519 BASE64`; '' when they name none."""
    match = _TEXT.fullmatch(machine.labels.get(LABEL, ""))
    if not match:
        return ""
    return f"{_KIND} {base64.b64encode(_PREFIX + bytes.fromhex(match[1])).decode()}"
