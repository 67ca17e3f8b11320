"""What machines cost: the spot market, AWS's price list, else the table."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from provision.core.model import Price
from provision.core.spec import NodeGroup
from provision.providers import prices
from provision.providers.ec2.client import ERRORS, NAME, Clients, translate_errors
from provision.providers.ec2.config import Ec2Settings

_LINUX = "Linux/UNIX"
_MACHINE = {
    "operatingSystem": "Linux",
    "preInstalledSw": "NA",
    "tenancy": "Shared",
    "capacitystatus": "Used",
    "marketoption": "OnDemand",
}
_DISK = {"productFamily": "Storage", "volumeApiName": "gp3"}
_LIST = "AWS's price list"
_MONTH_H = 730
PUBLIC_ADDRESS = 0.005
"""Dollars an hour of a public IPv4 address, in all regions of aws.amazon.com since 2024-02-01
(https://aws.amazon.com/blogs/aws/new-aws-public-ipv4-address-charge-public-ip-insights/)."""


class Market:
    """Prices, asked for once a run."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._known: dict[tuple[str, str, bool], Price | None] = {}
        self._disks: dict[str, Price | None] = {}
        self._silent = False

    def price(self, region: str, group: NodeGroup) -> Price | None:
        """Return what a machine of the group costs, of the first type that has a price."""
        settings = Ec2Settings.of(group)
        for kind in settings.instance_type:
            question = (region, kind, settings.spot)
            if question not in self._known:
                self._known[question] = self._ask(*question)
            if found := self._known[question]:
                return found
        return None

    def disk(self, region: str) -> Price | None:
        """Return what a GB of disk (gp3) costs."""
        if region not in self._disks:
            listed = self._from_list(region, _DISK, "GB-Mo")
            self._disks[region] = (
                Price(listed / _MONTH_H, _LIST) if listed else prices.listed(NAME, "gp3", place=region)
            )
        return self._disks[region]

    def spot_prices(self, region: str, kind: str) -> dict[str, float]:
        """Return the market's price now, dollars an hour, by zone. Raises NotReady, ProviderError."""
        with translate_errors(f"spot price of {kind}"):
            question: Any = {"InstanceTypes": [kind], "ProductDescriptions": [_LINUX]}
            answer = self._clients.ec2(region).describe_spot_price_history(
                **question, StartTime=datetime.now(tz=UTC)
            )
        newest: dict[str, Any] = {}
        for entry in answer["SpotPriceHistory"]:
            zone = entry["AvailabilityZone"]
            if zone not in newest or entry["Timestamp"] > newest[zone]["Timestamp"]:
                newest[zone] = entry
        return {zone: float(entry["SpotPrice"]) for zone, entry in newest.items()}

    def _ask(self, region: str, kind: str, spot: bool) -> Price | None:
        if spot:
            found = self.spot_prices(region, kind)
            return (
                Price(min(found.values()), f"spot market of {time.strftime('%Y-%m-%d')}") if found else None
            )
        listed = self._from_list(region, {**_MACHINE, "instanceType": kind}, "Hrs")
        return Price(listed, _LIST) if listed else prices.listed(NAME, kind, place=region)

    def _from_list(self, region: str, wanted: Mapping[str, str], unit: str) -> float | None:
        """Return a price of AWS's list, in dollars; None when it does not say (not everybody may ask it)."""
        if self._silent:
            return None
        filters: Any = [
            {"Type": "TERM_MATCH", "Field": key, "Value": value}
            for key, value in {**wanted, "regionCode": region}.items()
        ]
        try:
            answer = self._clients.pricing().get_products(
                ServiceCode="AmazonEC2", Filters=filters, MaxResults=10
            )
            return price_of(answer["PriceList"], wanted, unit)
        except ERRORS:
            self._silent = True
        return None


def price_of(documents: Iterable[str], wanted: Mapping[str, str], unit: str) -> float | None:
    """Return the price that documents of AWS's price list agree on, in dollars; None when they name none.

    Args:
        documents: JSON texts, each a product with its terms.
        wanted: attributes that a product must have, when it names them: others are no answer.
        unit: what is priced: `Hrs` or `GB-Mo`. A price of 0 is one of capacity that is paid for otherwise.
    """
    found: set[float] = set()
    for text in documents:
        document = json.loads(text)
        known = document["product"].get("attributes", {})
        if any(known.get(key, value) != value for key, value in wanted.items()):
            continue
        for term in document["terms"].get("OnDemand", {}).values():
            for dimension in term["priceDimensions"].values():
                dollars = float(dimension["pricePerUnit"].get("USD", 0))
                if dimension["unit"] == unit and dollars:
                    found.add(dollars)
    return max(found, default=None)
