"""Key pairs: the cluster's login key, and host keys for first connections."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from provision.core import files
from provision.core.errors import StateError

_PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey


@dataclass(frozen=True)
class BootstrapKey:
    """The host key for the first, strict connection to the machines of one create call; used once."""

    private: str
    public: str


def new_bootstrap_key() -> BootstrapKey:
    """Return a new ECDSA key pair in OpenSSH's formats."""
    key = ec.generate_private_key(ec.SECP256R1())
    return BootstrapKey(private=_private_text(key), public=_public_text(key.public_key()))


def ensure_login_key(path: Path, comment: str) -> str:
    """Return the public key beside the private key file `path`; both are made when missing.

    Raises:
        StateError: the path is a link to another key, which is gone.
    """
    if path.is_symlink() and not path.exists():
        raise StateError(
            where=str(path),
            what=f"the key that this cluster was adopted with is gone ({path.readlink()})",
            remedy="Put it back, or remove this state folder and run ./muster adopt with another key",
        )
    if not path.is_file():
        key = ed25519.Ed25519PrivateKey.generate()
        files.write(path, _private_text(key))
    private = serialization.load_ssh_private_key(path.read_bytes(), password=None)
    if not isinstance(private, ed25519.Ed25519PrivateKey):
        raise TypeError(f"{path} is no Ed25519 key")
    public = f"{_public_text(private.public_key())} {comment}"
    files.write_if_changed(path.with_suffix(".pub"), public + "\n", mode=0o644)
    return public


def _private_text(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    ).decode()


def _public_text(key: _PublicKey) -> str:
    return key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()
