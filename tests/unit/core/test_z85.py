"""Keys as libzmq takes them."""

from __future__ import annotations

import pytest

from provision.core import z85


def test_the_example_of_the_specification() -> None:
    assert z85.encode(bytes.fromhex("864FD26FB559F75B")) == "HelloWorld"
    assert z85.decode("HelloWorld").hex().upper() == "864FD26FB559F75B"


@pytest.mark.parametrize("text", ["Hello World", "ä", "#####"])
def test_what_is_no_such_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        z85.decode(text)
