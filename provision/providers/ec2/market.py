"""What machines cost: the spot market, AWS's price list, else the table."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from provision.core.model import Price
from provision.core.spec import NodeGroup
from provision.providers import prices
from provision.providers.ec2.client import NAME, Clients, translate_errors
from provision.providers.ec2.config import Ec2Settings

_LINUX = "Linux/UNIX"
_PRICE_LIST = {
    "operatingSystem": "Linux",
    "preInstalledSw": "NA",
    "tenancy": "Shared",
    "capacitystatus": "Used",
    "marketoption": "OnDemand",
}


class Market:
    """Prices, asked for once a run."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._known: dict[tuple[str, str, bool], Price | None] = {}
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
        return self._from_list(region, kind) or prices.listed(NAME, kind)

    def _from_list(self, region: str, kind: str) -> Price | None:
        """Ask AWS's price list; None when it does not answer (not everybody may ask it)."""
        if self._silent:
            return None
        wanted = {**_PRICE_LIST, "regionCode": region, "instanceType": kind}
        try:
            answer = self._clients.pricing().get_products(
                ServiceCode="AmazonEC2",
                Filters=[
                    {"Type": "TERM_MATCH", "Field": key, "Value": value} for key, value in wanted.items()
                ],
                MaxResults=1,
            )
            for text in answer["PriceList"]:
                term = next(iter(json.loads(text)["terms"]["OnDemand"].values()))
                dollars = next(iter(term["priceDimensions"].values()))["pricePerUnit"]["USD"]
                return Price(float(dollars), "AWS's price list")
        except (BotoCoreError, ClientError, KeyError, ValueError, StopIteration):
            self._silent = True
        return None
