"""AWS's price list as it answers, and the account's quotas."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

Reply = tuple[str, list[tuple[str, str]], bytes]
REFUSED: Reply = (
    "400 Bad Request",
    [("Content-Type", "application/x-amz-json-1.1")],
    b'{"__type": "AccessDeniedException", "Message": "You are not authorized."}',
)


def products(listed: Mapping[str, float], asked: Mapping[str, Any]) -> Reply:
    """Answer GetProducts. `listed`: dollars by instance type, and of `gp3`; nothing = it may not be asked."""
    if not listed:
        return REFUSED
    wanted = {one["Field"]: one["Value"] for one in asked["Filters"]}
    kind = wanted.get("instanceType") or wanted.get("volumeApiName", "")
    found = [listed[kind]] if kind in listed else []
    documents = [document(wanted, dollars) for dollars in (0.0, *found)] if found else []
    return json_reply({"FormatVersion": "aws_v1", "PriceList": [json.dumps(one) for one in documents]})


def document(attributes: Mapping[str, str], dollars: float) -> dict[str, Any]:
    """Return a product as the list has it; one at no price is capacity that is paid for otherwise."""
    sku, unit = ("22WY57989R2PA7RB", "Hrs" if "instanceType" in attributes else "GB-Mo")
    dimension = {
        "unit": unit,
        "endRange": "Inf",
        "beginRange": "0",
        "appliesTo": [],
        "pricePerUnit": {"USD": f"{dollars:.10f}"},
    }
    term = {
        "priceDimensions": {f"{sku}.JRTCKXETXF.6YS6EN2CT7": dimension},
        "sku": sku,
        "offerTermCode": "JRTCKXETXF",
        "termAttributes": {},
    }
    return {
        "product": {"productFamily": "Compute Instance", "attributes": dict(attributes), "sku": sku},
        "serviceCode": "AmazonEC2",
        "terms": {"OnDemand": {f"{sku}.JRTCKXETXF": term}},
    }


def quota(quotas: Mapping[str, float], asked: Mapping[str, Any]) -> Reply:
    """Answer GetServiceQuota; what is not named is plenty."""
    code = asked["QuotaCode"]
    found = {
        "ServiceCode": asked["ServiceCode"],
        "QuotaCode": code,
        "Value": quotas.get(code, 1000.0),
        "Unit": "None",
    }
    return json_reply({"Quota": found})


def json_reply(value: Any) -> Reply:
    return "200 OK", [("Content-Type", "application/x-amz-json-1.1")], json.dumps(value).encode()
