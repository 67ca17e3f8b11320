"""The cluster's own authority, and what it vouches for."""

from __future__ import annotations

import datetime
import getpass
import socket
import ssl
import threading
from functools import partial
from pathlib import Path

import pytest
from cryptography import x509

from muster_node.notebook import keys

NOW = datetime.datetime.now(datetime.UTC)
ensure = partial(keys.ensure, user=getpass.getuser())


def test_a_second_time_makes_nothing_anew(tmp_path: Path) -> None:
    folder = tmp_path / "notebook"
    ensure(folder, "pond-master", NOW)
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert set(first) == {"ca.pem", "server.pem", "server.key", "token"}
    ensure(folder, "pond-master", NOW)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == first


def test_what_is_secret_is_for_one_user_alone(tmp_path: Path) -> None:
    ensure(tmp_path / "notebook", "pond-master", NOW)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "notebook").iterdir()}
    assert modes == {"ca.pem": 0o644, "server.pem": 0o644, "server.key": 0o600, "token": 0o600}


def test_a_certificate_that_ends_soon_is_made_anew_and_the_token_stays(tmp_path: Path) -> None:
    folder = tmp_path / "notebook"
    ensure(folder, "pond-master", NOW - keys.LIFE + datetime.timedelta(days=20))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    ensure(folder, "pond-master", NOW)
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert {name for name in before if before[name] != after[name]} == {"ca.pem", "server.pem", "server.key"}


def test_a_damaged_certificate_is_made_anew(tmp_path: Path) -> None:
    folder = tmp_path / "notebook"
    ensure(folder, "pond-master", NOW)
    (folder / "server.pem").write_text("half of it")
    ensure(folder, "pond-master", NOW)
    assert x509.load_pem_x509_certificate((folder / "server.pem").read_bytes())


@pytest.fixture
def served(tmp_path: Path) -> tuple[Path, int]:
    """A TLS server of one connection with what was made; its folder and its port."""
    folder = tmp_path / "notebook"
    ensure(folder, "pond-master", NOW)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener, listener.accept()[0] as line:
            try:
                context.wrap_socket(line, server_side=True).close()
            except OSError:
                return

    threading.Thread(target=serve, daemon=True).start()
    return folder, listener.getsockname()[1]


@pytest.mark.parametrize(
    ("name", "trusted"), [("127.0.0.1", True), ("localhost", True), ("pond-master", False)]
)
def test_who_trusts_the_authority_trusts_loopback_and_nothing_else(
    served: tuple[Path, int], name: str, trusted: bool
) -> None:
    folder, port = served
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    with socket.create_connection(("127.0.0.1", port)) as line:
        if trusted:
            context.wrap_socket(line, server_hostname=name).close()
        else:
            with pytest.raises(ssl.SSLCertVerificationError):
                context.wrap_socket(line, server_hostname=name)


def test_without_the_authority_the_server_is_not_trusted(served: tuple[Path, int]) -> None:
    with (
        socket.create_connection(("127.0.0.1", served[1])) as line,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        ssl.create_default_context().wrap_socket(line, server_hostname="127.0.0.1")
