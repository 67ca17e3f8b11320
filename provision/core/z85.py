"""Z85 (ZeroMQ's RFC 32), the form in which libzmq takes keys: four bytes as five digits."""

from __future__ import annotations

import struct

_DIGITS = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"


def encode(data: bytes) -> str:
    """Return bytes, whose number is a multiple of four, as digits."""
    numbers = struct.unpack(f">{len(data) // 4}I", data)
    return bytes(
        _DIGITS[number // 85**place % 85] for number in numbers for place in range(4, -1, -1)
    ).decode()


def decode(text: str) -> bytes:
    """Return what was encoded. Raises ValueError: it is no such text."""
    places = [_DIGITS.index(digit) for digit in text.encode()]
    fives = [places[at : at + 5] for at in range(0, len(places), 5)]
    try:
        return b"".join(
            struct.pack(">I", sum(place * 85 ** (4 - at) for at, place in enumerate(five))) for five in fives
        )
    except struct.error:
        raise ValueError("no Z85") from None
