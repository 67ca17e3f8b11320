"""EC2: what machines cost, with their disks and addresses, where they are."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provision.core.errors import PlanRefused
from provision.core.model import Price
from provision.providers.ec2.market import PUBLIC_ADDRESS, price_of
from tests.emulators.ec2 import quotes
from tests.fakes.ec2 import Cloud

RECORDED = json.loads(Path(__file__).with_name("price_list.json").read_text(encoding="utf-8"))
LISTED = {"t3.medium": 0.0456, "gp3": 0.088}
ODD = {"odd": {"count": 0, "instance_type": "u-24tb1.metal"}}


def priced(cloud: Cloud, group: str, **keys: Any) -> Price | None:
    provider = cloud.provider(**keys)
    return provider.price(provider.spec.group(group))


def test_a_price_of_aws_list_with_disks_and_address(cloud: Cloud) -> None:
    cloud.emulator.set(listed=LISTED)
    found = priced(cloud, "master")
    assert found is not None and found.source == "AWS's price list, with 30 GB of disk and a public address"
    assert found.hourly == pytest.approx(0.0456 + 30 * 0.088 / 730 + PUBLIC_ADDRESS)
    private = priced(cloud, "master", ec2={"ssh_address": "private"})
    assert private is not None and private.hourly == pytest.approx(found.hourly - PUBLIC_ADDRESS)
    provider = cloud.provider()
    stopped = provider.price_stopped(provider.spec.group("master"))
    assert stopped is not None and stopped.hourly == pytest.approx(30 * 0.088 / 730)


def test_the_table_counts_for_its_region_alone(cloud: Cloud) -> None:
    """A price that is not known is better than one of another place."""
    assert priced(cloud, "master") is None
    found = priced(cloud, "master", ec2={"region": "us-east-1"})
    assert found is not None and "us-east-1" in found.source and "old" in found.source
    assert found.hourly == pytest.approx(0.0416 + 30 * 0.08 / 730 + PUBLIC_ADDRESS, rel=1e-3)


def test_a_budget_that_cannot_be_kept_says_what_would_tell_prices(cloud: Cloud) -> None:
    for budget in ({"max_hourly": 9}, {"total": 9}):
        with pytest.raises(PlanRefused, match=r"master, worker costs is not known.*pricing:GetProducts"):
            cloud.cluster(2, budget=budget).ensure()
    assert cloud.emulator.left_over() == []


def test_the_spot_market(cloud: Cloud) -> None:
    cloud.emulator.set(spot_prices={"t3.small": 0.0071})
    groups = {"worker": {"instance_type": "t3.small", "spot": True, "data_disk_gb": 10}}
    found = priced(cloud, "worker", groups=groups)
    assert found is not None and found.source.startswith("spot market of ")
    assert found.hourly == pytest.approx(0.0071 + 30 * 0.088 / 730 + PUBLIC_ADDRESS, rel=1e-3)


def test_the_system_disk_is_as_large_as_its_image_needs(cloud: Cloud) -> None:
    cloud.emulator.set(listed=LISTED)
    provider = cloud.provider()
    group = provider.spec.group("master")
    images: Any = provider._images
    real = images.choose
    images.choose = lambda *words: replace(real(*words), root_gb=65)
    found = provider.price(group)
    assert found is not None and "with 75 GB of disk" in found.source


def test_a_type_of_which_nobody_knows_the_price(cloud: Cloud) -> None:
    cloud.emulator.set(listed=LISTED)
    assert priced(cloud, "odd", groups=ODD) is None


def test_a_recorded_answer_of_aws_has_no_price_that_could_be_believed() -> None:
    """Machines on a host that is paid for as a whole cost 0; nobody would believe that of the others."""
    documents = [json.dumps(one) for one in RECORDED["PriceList"]]
    (term,) = RECORDED["PriceList"][0]["terms"]["OnDemand"].values()
    assert next(iter(term["priceDimensions"].values()))["pricePerUnit"] == {"USD": "0.0000000000"}
    assert price_of(documents, {"instanceType": "r5.large", "tenancy": "Host"}, "Hrs") is None


def test_other_products_and_units_are_no_answer() -> None:
    wanted = {"instanceType": "m5.large", "tenancy": "Shared"}
    one, other = (json.dumps(quotes.document({**wanted, **more}, 0.1)) for more in ({}, {"tenancy": "Host"}))
    assert price_of([other, one], wanted, "Hrs") == 0.1
    assert price_of([other], wanted, "Hrs") is None and price_of([one], wanted, "GB-Mo") is None
    reserved = json.dumps({**json.loads(one), "terms": {"Reserved": {}}})
    assert price_of([reserved], wanted, "Hrs") is None and price_of([], wanted, "Hrs") is None


def test_the_emulators_list_has_the_shape_of_the_recorded_one() -> None:
    def shape(value: Any) -> Any:
        return {key: shape(own) for key, own in value.items()} if isinstance(value, dict) else type(value)

    recorded = RECORDED["PriceList"][0]
    made = quotes.document(recorded["product"]["attributes"], 0.0)
    (mine,), (theirs,) = made["terms"]["OnDemand"].values(), recorded["terms"]["OnDemand"].values()
    assert made["product"].keys() == recorded["product"].keys() and mine.keys() <= theirs.keys()
    (mine,), (theirs,) = mine["priceDimensions"].values(), theirs["priceDimensions"].values()
    assert shape(mine) == shape(theirs)
