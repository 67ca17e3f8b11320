"""Networks and addresses as people and services write them; machines are reached by IPv4 alone."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Network, collapse_addresses, ip_address

PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
"""Networks whose addresses the internet does not carry."""
_SHARED = "100.64.0.0/10"  # behind a provider's own translation of addresses
_WIDE = 8
"""Bits of a prefix below which a network is no neighbourhood any more."""
_HOW = "Write it like 203.0.113.7/32"


def network(text: str) -> str:
    """Return a network, or one address as a network of one. Raises ValueError: what to write instead."""
    try:
        return str(IPv4Network(text))
    except ValueError:
        pass
    try:
        IPv6Network(text, strict=False)
    except ValueError:
        pass
    else:
        raise ValueError(f"{text!r} is IPv6, and machines are reached by IPv4 alone. {_HOW}")
    try:
        whole = IPv4Network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is no address or network. {_HOW}") from None
    raise ValueError(f"{text!r} is no whole network. Write {whole}, or {text.partition('/')[0]}/32")


def told_address(reply: str) -> str:
    """Return the one address that a service has answered with.

    Raises:
        ValueError: it is something else; the text says what, and never has the reply itself.
    """
    words = re.split(r"[\s,;]+", reply.strip())
    if words == [""]:
        raise ValueError("nothing")
    if reply.lstrip().startswith("<"):
        raise ValueError("a web page; perhaps the network wants you to sign in")
    try:
        found = [ip_address(word) for word in words]
    except ValueError:
        raise ValueError("something that is no address") from None
    if len(found) > 1:
        raise ValueError(f"{len(found)} addresses: {', '.join(map(str, found[:4]))}")
    if found[0].version == 6:
        raise ValueError(f"the IPv6 address {found[0]}, and machines are reached by IPv4 alone")
    return str(found[0])


def is_private(address: str) -> bool:
    """Return whether an address is one that machines elsewhere on the internet never see."""
    found = IPv4Address(address)
    return found.is_loopback or found.is_link_local or any(holds(one, address) for one in (*PRIVATE, _SHARED))


def public(address: str) -> str:
    """Return an address that the internet carries, '' for every other and for a name."""
    try:
        return "" if is_private(address) else address
    except ValueError:
        return ""


def holds(network: str, address: str) -> bool:
    """Return whether an address (of any kind) is in a network."""
    try:
        return ip_address(address) in IPv4Network(network)
    except ValueError:
        return False


def merged(networks: Iterable[str]) -> list[str]:
    """Return networks in order, none inside another."""
    return [str(one) for one in collapse_addresses(map(IPv4Network, networks))]


def wide(networks: Iterable[str]) -> list[str]:
    """Return those of the (merged) networks that hold a good part of the internet."""
    return [text for text in merged(networks) if IPv4Network(text).prefixlen < _WIDE]
