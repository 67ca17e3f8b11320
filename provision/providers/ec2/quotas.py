"""Quotas of vCPUs: what an account may run of a kind of types, asked for before anything is ordered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from provision.core.errors import NotReady
from provision.providers.ec2 import tags
from provision.providers.ec2.client import ERRORS, Clients, code_of, translate_errors
from provision.providers.ec2.kinds import Kinds

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

STANDARD = ("Standard", "L-1216C47A", "L-34B43A08")
_FAMILIES = {
    **dict.fromkeys("acdhimrtz", STANDARD),
    "dl": ("DL", "L-6E869C2A", "L-85EED4F7"),
    "f": ("F", "L-74FC7D96", "L-88CF9481"),
    "g": ("G and VT", "L-DB2E81BA", "L-3819A6DF"),
    "vt": ("G and VT", "L-DB2E81BA", "L-3819A6DF"),
    "u": ("High Memory", "L-43DA4232", ""),
    "hpc": ("HPC", "L-F7808C92", ""),
    "inf": ("Inf", "L-1945791B", "L-B5D1601B"),
    "p": ("P", "L-417A185B", "L-7212CCBC"),
    "trn": ("Trn", "L-2C3B7624", "L-6B0D517C"),
    "x": ("X", "L-7295265B", "L-E3A00192"),
}
"""First letters of a type -> the quota's name, its code on demand, its code for spot ('' = there is none).

Source: the table of OpenDev's nodepool (nodepool/driver/aws), read off Service Quotas' console, 2024."""


@dataclass(frozen=True)
class Need:
    """vCPUs that `what` needs, by quota: any one of these will do."""

    what: str
    options: Mapping[str, float]


class Quotas:
    """What an account may run in each region, and what runs."""

    def __init__(self, clients: Clients, kinds: Kinds) -> None:
        self._clients = clients
        self._kinds = kinds

    def check(self, region: str, needs: Sequence[Need]) -> list[str]:
        """Find out whether the quotas of a region are enough; return what could not be asked for.

        Raises:
            NotReady: they are not.
        """
        left: dict[str, float] = {}
        unknown = []
        codes = sorted({code for need in needs for code in need.options if code})
        if not codes:
            return []
        with translate_errors():
            used = self._used(self._clients.ec2(region))
        for code in codes:
            try:
                left[code] = self._quota(region, code) - used[code]
            except ERRORS as error:
                why = code_of(error) if isinstance(error, ClientError) else str(error)
                unknown.append(
                    f"ec2: the quota of {name_of(code)} in {region} could not be asked for ({why})"
                )
        if refusal := short(needs, left):
            raise NotReady(
                where=refusal,
                what=f"the quotas of {region} are not enough: " + "; ".join(_words(needs, left)),
                remedy="Ask for more under Service Quotas, or take fewer or smaller machines",
            )
        return unknown

    def _quota(self, region: str, code: str) -> float:
        answer = self._clients.quotas(region).get_service_quota(ServiceCode="ec2", QuotaCode=code)
        return float(answer["Quota"]["Value"])

    def _used(self, client: EC2Client) -> Counter[str]:
        """Return the vCPUs of all that runs in a region, whoever has made it, by quota."""
        running: Any = tags.where(instance_state_name=["pending", "running"])
        pages = client.get_paginator("describe_instances").paginate(Filters=running)
        found = [raw for page in pages for group in page["Reservations"] for raw in group["Instances"]]
        cores = self._kinds.cores(client, {raw["InstanceType"] for raw in found})
        used: Counter[str] = Counter()
        for raw in found:
            spot = raw.get("InstanceLifecycle") == "spot"
            used[code_for(raw["InstanceType"], spot=spot)] += cores.get(raw["InstanceType"], 0)
        return used


def code_for(kind: str, *, spot: bool) -> str:
    """Return the code of the quota that an instance type counts in; '' where there is none."""
    letters = "".join(takewhile(str.isalpha, kind))
    family = _FAMILIES.get(letters) or _FAMILIES.get(letters[:1])
    return family[1 + spot] if family else ""


def name_of(code: str) -> str:
    """Return what AWS calls a quota."""
    for what, on_demand, spot in _FAMILIES.values():
        if code == on_demand:
            return f"Running On-Demand {what} instances"
        if code == spot:
            return f"All {what} Spot Instance Requests"
    return code


def short(needs: Iterable[Need], left: Mapping[str, float]) -> str:
    """Return what cannot be had within what is left of the quotas, '' when all can.

    What could be had in several ways is only compared with each of them alone.
    """
    certain: Counter[str] = Counter()
    for need in needs:
        if all(code in left and cores > left[code] for code, cores in need.options.items()):
            return need.what
        if len(need.options) == 1:
            certain.update({code: int(cores) for code, cores in need.options.items()})
            if any(code in left and certain[code] > left[code] for code in need.options):
                return need.what
    return ""


def _words(needs: Iterable[Need], left: Mapping[str, float]) -> list[str]:
    """Return, for each quota, what is left and what is wanted."""
    wanted: dict[str, list[str]] = {}
    for need in needs:
        for code, cores in need.options.items():
            wanted.setdefault(code, []).append(f"{need.what} {cores:g}")
    return [
        f"{name_of(code)} ({code}) leaves {max(0.0, left[code]):g} vCPUs, "
        f"wanted are {', '.join(wanted[code])}"
        for code in sorted(wanted)
        if code in left
    ]
