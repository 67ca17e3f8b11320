"""The security groups of an emulated account. All calls hold the account's lock."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from SoftLayer import SoftLayerAPIError

from tests.emulators.softlayer import filters

GROUP = filters.parse(
    "id,name,description,createDate,"
    "rules[id,direction,ethertype,protocol,portRangeMin,portRangeMax,remoteIp,remoteGroupId]"
)
RULE = ("direction", "ethertype", "protocol", "portRangeMin", "portRangeMax", "remoteIp", "remoteGroupId")


def refusal(code: str, text: str) -> SoftLayerAPIError:
    return SoftLayerAPIError(f"SoftLayer_Exception{code}", text)


@dataclass
class SecurityGroups:
    """All of them; `bound` tells the ids of those that guests have."""

    bound: Callable[[], Iterable[int]]
    groups: dict[int, dict[str, Any]] = field(default_factory=dict)
    _ids: Any = field(default_factory=lambda: itertools.count(501))

    def create(self, wanted: dict[str, Any]) -> dict[str, Any]:
        number = next(self._ids)
        self.groups[number] = {"id": number, "rules": [], **wanted}
        return {"id": number, **wanted}

    def add(self, group: int, rules: list[dict[str, Any]]) -> dict[str, Any]:
        there = self.find(group)["rules"]
        for rule in rules:
            if unknown := set(rule) - set(RULE):
                raise refusal("_Public", f"Property '{unknown.pop()}' not valid.")
            if any(all(old.get(key) == rule.get(key) for key in RULE) for old in there):
                raise refusal("_Public", "The security group rule exists already.")
            there.append({"id": next(self._ids), **rule})
        return {"requestId": "0", "rules": there}

    def drop(self, group: int, ids: list[int]) -> dict[str, Any]:
        found = self.find(group)
        found["rules"] = [rule for rule in found["rules"] if rule["id"] not in ids]
        return {"requestId": "0"}

    def delete(self, group: int) -> bool:
        self.find(group)
        if group in self.bound():
            raise refusal("_Public", "The security group is in use and cannot be deleted.")
        del self.groups[group]
        return True

    def find(self, group: int) -> dict[str, Any]:
        if group not in self.groups:
            raise refusal("_ObjectNotFound", f"Unable to find object with id of '{group}'.")
        return self.groups[group]

    def sources(self) -> list[str]:
        """Return from where SSH gets in, over all groups, sorted."""
        return sorted(
            str(rule["remoteIp"])
            for group in self.groups.values()
            for rule in group["rules"]
            if rule["direction"] == "ingress"
        )
