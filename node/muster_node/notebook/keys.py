"""`muster-notebook-keys`: the cluster's own certificate authority, the server's certificate and the token.

Made once on each master, by root, before the server starts. The authority vouches for loopback addresses
alone, and its private key is kept nowhere: whoever trusts it trusts nothing else by that.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import secrets
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

FOLDER = Path("/etc/muster/notebook")
AUTHORITY, CERTIFICATE, KEY, TOKEN = "ca.pem", "server.pem", "server.key", "token"
USER = "hadoop"
LIFE = datetime.timedelta(days=397)
"""Browsers take no certificate that is valid for longer."""
RENEWED = datetime.timedelta(days=30)
"""So long before its end a certificate is made anew."""
_UNUSED = (
    "content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only",
    "decipher_only", "crl_sign",
)  # fmt: skip
LOOPBACK = ipaddress.ip_address("127.0.0.1")


@dataclass(frozen=True)
class Made:
    """What was made, as PEM."""

    authority: bytes
    certificate: bytes
    key: bytes


def make(host: str, now: datetime.datetime) -> Made:
    """Make an authority for the machine `host` and a certificate of it."""
    ours, servers = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = _name(f"Muster's authority of {host}")
    names: list[x509.GeneralName] = [x509.DNSName("localhost")]
    network = ipaddress.ip_network(f"{LOOPBACK}/32")
    usage = dict.fromkeys(_UNUSED, False)
    authority = (
        _begin(issuer, issuer, ours.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=False, key_cert_sign=True, **usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(ours.public_key()), critical=False)
        .add_extension(x509.NameConstraints([*names, x509.IPAddress(network)], None), critical=True)
        .sign(ours, hashes.SHA256())
    )
    certificate = (
        _begin(_name(host), issuer, servers.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=True, key_cert_sign=False, **usage), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([*names, x509.IPAddress(LOOPBACK)]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ours.public_key()), critical=False)
        .sign(ours, hashes.SHA256())
    )
    return Made(
        authority.public_bytes(serialization.Encoding.PEM),
        certificate.public_bytes(serialization.Encoding.PEM),
        servers.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )


def ensure(folder: Path, host: str, now: datetime.datetime, *, user: str = USER) -> None:
    """Make what is missing or ends soon, secrets for `user` alone; again is harmless. Raises OSError."""
    folder.mkdir(mode=0o755, exist_ok=True)
    if not _holds(folder / CERTIFICATE, now):
        made = make(host, now)
        _write(folder / KEY, made.key, user=user)
        _write(folder / AUTHORITY, made.authority)
        _write(folder / CERTIFICATE, made.certificate)  # last: it says that all are there
    if not (folder / TOKEN).exists():
        _write(folder / TOKEN, secrets.token_hex(32).encode(), user=user)


def _holds(path: Path, now: datetime.datetime) -> bool:
    try:
        known = x509.load_pem_x509_certificate(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return False
    return now < known.not_valid_after_utc - RENEWED


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common[:64])])


def _begin(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime.datetime
) -> x509.CertificateBuilder:
    begin = now - datetime.timedelta(hours=1)  # another computer's clock may be behind
    found = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    return (
        found.serial_number(x509.random_serial_number()).not_valid_before(begin).not_valid_after(begin + LIFE)
    )


def _write(path: Path, content: bytes, *, user: str = "") -> None:
    """Put a file in place at once: for `user` alone, or for everybody to read."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        if user:
            shutil.chown(fresh, user)
        else:
            os.fchmod(file.fileno(), 0o644)
    fresh.replace(path)


def main() -> int:
    """Make them."""
    ensure(FOLDER, socket.gethostname(), datetime.datetime.now(datetime.UTC))
    return 0
