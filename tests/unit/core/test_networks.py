"""Networks as people write them, addresses as services tell them."""

from __future__ import annotations

import re

import pytest

from provision.core import networks


@pytest.mark.parametrize(
    ("text", "found"),
    [("203.0.113.7", "203.0.113.7/32"), ("203.0.113.0/24", "203.0.113.0/24"), ("0.0.0.0/0", "0.0.0.0/0")],
)
def test_a_network(text: str, found: str) -> None:
    assert networks.network(text) == found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("2001:db8::/64", "is IPv6, and machines are reached by IPv4 alone. Write it like 203.0.113.7/32"),
        ("2001:db8::17", "is IPv6"),
        ("203.0.113.7/24", "is no whole network. Write 203.0.113.0/24, or 203.0.113.7/32"),
        ("home", "is no address or network. Write it like"),
        ("", "is no address or network"),
    ],
)
def test_what_is_none_is_told_with_what_to_write(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        networks.network(text)


def test_the_address_that_a_service_tells() -> None:
    assert networks.told_address("192.0.2.10\n") == "192.0.2.10"


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ("192.0.2.10, 198.51.100.7\n", "2 addresses: 192.0.2.10, 198.51.100.7"),
        ("192.0.2.10\n198.51.100.7\n", "2 addresses: 192.0.2.10, 198.51.100.7"),
        ("2001:db8::17\n", "the IPv6 address 2001:db8::17, and machines are reached by IPv4 alone"),
        (
            "<!DOCTYPE html><title>Guest network</title>",
            "a web page; perhaps the network wants you to sign in",
        ),
        ("", "nothing"),
        ("evil \x1b[31m words", "something that is no address"),
    ],
)
def test_an_answer_that_is_no_address_is_named_and_not_shown(reply: str, words: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(words)}$"):
        networks.told_address(reply)


@pytest.mark.parametrize(
    "address", ["10.20.30.40", "172.31.0.1", "192.168.1.2", "100.64.3.4", "127.0.0.1", "169.254.1.1"]
)
def test_addresses_that_the_internet_does_not_carry(address: str) -> None:
    assert networks.is_private(address) and not networks.is_private("198.51.100.7")


def test_networks_in_others_are_part_of_them() -> None:
    assert networks.merged(["203.0.113.7/32", "10.0.0.0/8", "203.0.113.0/24", "10.0.0.0/8"]) == [
        "10.0.0.0/8",
        "203.0.113.0/24",
    ]
    assert networks.wide(["0.0.0.0/1", "128.0.0.0/1", "10.0.0.0/8"]) == ["0.0.0.0/0"]
    assert networks.holds("10.0.0.0/8", "10.1.2.3") and not networks.holds("10.0.0.0/8", "::1")
