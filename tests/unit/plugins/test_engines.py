"""The keys that controller, engines and clients have of one secret."""

from __future__ import annotations

import pytest

from provision.plugins.filter.engines import muster_engine_keys

SECRET = "8e0bdd697628b91d8f245587ee95c5b04d48963f79259877b49cd9063aead3b7"


def test_they_fit_the_pair_of_the_specification() -> None:
    """The server's of ZeroMQ's RFC 26 (zmq_curve_keypair's manual page)."""
    found = muster_engine_keys(SECRET)
    assert found["secret"] == "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6"
    assert found["public"] == "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
    assert len(found["key"]) == 64 and found["key"] != SECRET


@pytest.mark.parametrize("other", ["0" * 64, SECRET[::-1]])
def test_another_secret_gives_others(other: str) -> None:
    assert not set(muster_engine_keys(other).values()) & set(muster_engine_keys(SECRET).values())
