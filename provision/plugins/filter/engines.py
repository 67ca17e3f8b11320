"""Filter over the secret of ipyparallel's engines: the keys that controller, engines and clients have."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable

_DIGITS = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
"""Of Z85 (ZeroMQ's RFC 32), the form in which libzmq takes keys."""


def muster_engine_keys(secret: str) -> dict[str, str]:
    """Return `key`, `public` and `secret` (see muster_node.engines.settings) from 64 hex digits."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    private = bytes.fromhex(secret)
    public = X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()
    return {
        "key": hashlib.sha256(b"ipyparallel's messages" + private).hexdigest(),
        "public": z85(public),
        "secret": z85(private),
    }


def z85(data: bytes) -> str:
    """Return bytes, in fours, as fives of digits."""
    numbers = struct.unpack(f">{len(data) // 4}I", data)
    return bytes(
        _DIGITS[number // 85**place % 85] for number in numbers for place in range(4, -1, -1)
    ).decode()


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., dict[str, str]]]:
        """Name -> function."""
        return {"muster_engine_keys": muster_engine_keys}
