"""Prices for when a provider's price list cannot be asked: a table with its date."""

from __future__ import annotations

from datetime import date

from provision.model import Price

DATED = date(2026, 11, 1)
"""When the tables were written down."""

LISTED: dict[str, dict[str, float]] = {
    # Linux, on demand, us-east-1, dollars an hour; other regions cost up to a third more.
    "ec2": {
        "t3.small": 0.0208,
        "t3.medium": 0.0416,
        "t3.large": 0.0832,
        "c7i.large": 0.0893,
        "c7i.xlarge": 0.1785,
        "m7i.large": 0.1008,
        "m7i.xlarge": 0.2016,
        "m7i.2xlarge": 0.4032,
        "r7i.large": 0.1323,
        "r7i.xlarge": 0.2646,
        "g4dn.xlarge": 0.526,
        "g5.xlarge": 1.006,
        "g5.2xlarge": 1.212,
        "g6.xlarge": 0.8048,
    },
}


def listed(provider: str, kind: str) -> Price | None:
    """Return the table's price of one machine; None when it is not in there.

    Args:
        provider: name of the provider.
        kind: instance type or flavor.
    """
    hourly = LISTED.get(provider, {}).get(kind)
    if hourly is None:
        return None
    age = (date.today() - DATED).days
    return Price(hourly=hourly, source=f"table of {DATED.isoformat()}, {age} days old")
