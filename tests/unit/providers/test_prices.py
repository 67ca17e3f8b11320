"""The dated table of list prices."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
import yaml

from provision.core.text import money
from provision.providers import prices


def test_a_price_says_where_it_is_from_and_how_old_it_is() -> None:
    found = prices.listed("ec2", "g4dn.xlarge", place="us-east-1", today=date(2025, 9, 1))
    assert found is not None
    assert (found.hourly, found.source) == (0.526, "list price of 2025-06 in us-east-1, 3 months old")
    fresh = prices.listed("ec2", "m5.xlarge", place="us-east-1", today=date(2025, 6, 11))
    assert fresh is not None
    assert fresh.source == "list price of 2025-06 in us-east-1, 10 days old"


@pytest.mark.parametrize(("provider", "kind"), [("ec2", "z9.huge"), ("local", "x")])
def test_what_the_table_does_not_have_is_not_known(provider: str, kind: str) -> None:
    assert prices.listed(provider, kind) is None


def test_a_price_of_one_region_is_none_of_another() -> None:
    assert prices.listed("ec2", "m5.large", place="eu-central-1") is None
    assert prices.listed("ec2", "m5.large") is None
    disk = prices.listed("ec2", "gp3", place="eu-central-1")
    assert disk is not None and disk.hourly * 730 == pytest.approx(0.0952, rel=1e-3)


def test_the_table_is_plausible() -> None:
    for provider, known in yaml.safe_load(prices.TABLE.read_text()).items():
        assert isinstance(known["date"], date) and known["date"] <= datetime.now(tz=UTC).date(), provider
        assert known["source"]
        assert all(0 < hourly < 100 for place in known["hourly"].values() for hourly in place.values())
    hourly = yaml.safe_load(prices.TABLE.read_text())["ec2"]["hourly"]["us-east-1"]
    for family in ("m5", "m6i", "m7i", "c5", "c6i", "c7i", "r5", "r6i", "r7i"):
        assert hourly[f"{family}.2xlarge"] == pytest.approx(4 * hourly[f"{family}.large"]), family


@pytest.mark.parametrize(
    ("dollars", "shown"),
    [
        (None, "not known"),
        (0, "free"),
        (0.0416, "$0.0416"),
        (0.5, "$0.50"),
        (0.526, "$0.526"),
        (140.16, "$140.16"),
    ],
)
def test_money(dollars: float | None, shown: str) -> None:
    assert money(dollars) == shown


def test_types_are_what_their_names_say() -> None:
    for provider in ("ec2", "softlayer"):
        assert prices.types(provider)
    for flavor in prices.types("softlayer"):
        assert flavor.name.startswith(f"{flavor.name[:2]}_{flavor.shape.cores}X{flavor.shape.memory_gb:g}X")
        assert flavor.price is None
    per_core = {"c": 2, "m": 4, "r": 8}
    for kind in prices.types("ec2", place="us-east-1"):
        assert kind.price is not None, kind.name
        if kind.name[0] in per_core:
            assert kind.shape.memory_gb == kind.shape.cores * per_core[kind.name[0]], kind.name
