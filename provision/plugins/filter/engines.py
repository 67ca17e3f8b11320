"""Filter over the secret of ipyparallel's engines: the keys that controller, engines and clients have."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from provision.core import z85


def muster_engine_keys(secret: str) -> dict[str, str]:
    """Return `key`, `public` and `secret` (see muster_node.engines.settings) from 64 hex digits."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    private = bytes.fromhex(secret)
    public = X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()
    return {
        "key": hashlib.sha256(b"ipyparallel's messages" + private).hexdigest(),
        "public": z85.encode(public),
        "secret": z85.encode(private),
    }


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., dict[str, str]]]:
        """Name -> function."""
        return {"muster_engine_keys": muster_engine_keys}
