"""One guest, as other clients than Muster look at it: they ask for more, and with other calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from SoftLayer.transports import Request

from tests.emulators.softlayer import filters
from tests.emulators.softlayer.guests import Guest, render


def calls(
    find: Callable[[Request], Guest], seen: Callable[[], Any]
) -> dict[tuple[str, str], Callable[[Request], Any]]:
    """Return the calls. `find`: the guest that a call names; `seen`: the machines behind guests."""

    def whole(request: Request) -> dict[str, Any]:
        mask = filters.parse(request.mask)
        return dict(filters.masked(_more(find(request), seen()), mask, mask))

    def disks(request: Request) -> list[dict[str, Any]]:
        return list(_more(find(request), seen())["blockDevices"])

    return {
        ("Virtual_Guest", "getObject"): whole,
        ("Virtual_Guest", "getBlockDevices"): disks,
        ("Virtual_Guest", "getBandwidthAllotmentDetail"): lambda _: {},
        ("Virtual_Guest", "getBillingCycleBandwidthUsage"): lambda _: [],
        ("Virtual_Guest", "getReverseDomainRecords"): lambda _: [],
    }


def _more(guest: Guest, seen: Any) -> dict[str, Any]:
    shown = render(guest, seen)
    disks = [
        {**disk, "mountType": "Disk", "diskImage": {**disk["diskImage"], "units": "GB", "description": kind}}
        for disk in shown["blockDevices"]
        for kind in ("SWAP" if disk["device"] == "1" else "",)
    ]
    return {
        **shown,
        "blockDevices": disks,
        "dedicatedAccountHostOnlyFlag": False,
        "modifyDate": shown["createDate"],
        "networkVlans": [],
        "privateNetworkOnlyFlag": guest.template["privateNetworkOnlyFlag"],
        "status": {**shown["status"], "name": shown["status"]["keyName"].title()},
    }
