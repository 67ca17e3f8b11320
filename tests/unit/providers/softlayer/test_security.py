"""The security group of a cluster's public ports: bound in the order, one, changed by `allow`, gone at the end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from provision.core.errors import NotReady
from provision.planning.plan import make_plan
from tests.fakes.softlayer import IDENTITY, Account

HOME, OFFICE = "203.0.113.0/24", "198.51.100.7/32"


def test_it_lets_ssh_in_from_where_it_may_come_and_nothing_else(account: Account) -> None:
    account.provider().create(replace(account.request(2), ssh_from=(HOME, "2001:db8::/32")))
    (group,) = account.books.security.groups.values()
    assert group["name"] == "muster-retina-0123abcd"
    assert {guest.groups[0] for guest in account.books.guests.values()} == {group["id"]}
    inbound = [rule for rule in group["rules"] if rule["direction"] == "ingress"]
    assert [
        (r["remoteIp"], r["ethertype"], r["protocol"], r["portRangeMin"], r["portRangeMax"]) for r in inbound
    ] == [
        (HOME, "IPv4", "tcp", 22, 22),
        ("2001:db8::/32", "IPv6", "tcp", 22, 22),
    ]
    assert [rule["ethertype"] for rule in group["rules"] if rule["direction"] == "egress"] == ["IPv4", "IPv6"]


@pytest.mark.parametrize("kind", ["lost", "500 after", "throttled"])
@pytest.mark.parametrize("method", ["createObject", "addRules"])
def test_one_whatever_happens(account: Account, method: str, kind: str) -> None:
    account.emulator.fault(method, kind)
    request = replace(account.request(2), ssh_from=(HOME,))
    account.provider().create(request)
    account.provider().create(replace(request, token="a" * 16, names=("retina-worker-3",)))
    assert len(account.books.security.groups) == 1
    assert account.books.security.sources() == [HOME]


def test_allow_adds_and_withdraws(account: Account) -> None:
    provider = account.provider()
    provider.create(replace(account.request(1), ssh_from=(HOME,)))
    assert provider.allow(IDENTITY, [HOME, OFFICE]) == ([OFFICE], [])
    assert provider.allow(IDENTITY, [OFFICE]) == ([], [])
    assert account.books.security.sources() == [OFFICE, HOME]
    assert provider.allow(IDENTITY, [OFFICE], only=True) == ([], [HOME])
    assert account.books.security.sources() == [OFFICE]


def test_a_master_elsewhere_is_let_in_by_its_address_and_no_more_by_the_old_one(account: Account) -> None:
    old, new = "203.0.113.77/32", "203.0.113.78/32"
    provider, request = account.provider(), replace(account.request(1), ssh_from=(HOME,))
    provider.create(request)
    for networks, gone, there in (
        ([old], [], [HOME, old]),
        ([old], [], [HOME, old]),
        ([new], [old], [HOME, new]),
        ([new], [old], [HOME, new]),
    ):
        provider.admit_master(IDENTITY, [request.group], networks, gone)
        assert account.books.security.sources() == sorted(there)
    assert provider.allow(IDENTITY, [HOME], only=True, keep=[new]) == ([], [])
    provider.admit_master(IDENTITY, [request.group], [], [new])
    assert account.books.security.sources() == [HOME]


def test_who_may_not_have_one_is_told_before_anything_is_ordered(account: Account) -> None:
    spec = account.spec()
    account.emulator.fault("getSecurityGroups", "SoftLayer_Exception_NoPermission: no", times=9)
    with pytest.raises(NotReady, match=r"this user may not do that: no\).*MANAGE_SECURITY_GROUPS"):
        account.provider().check_ready(spec, make_plan(spec, []))
    without = account.spec(softlayer={"security_group": False})
    account.provider(softlayer={"security_group": False}).check_ready(without, make_plan(without, []))


def test_only_takes_all_that_let_ssh_in_and_nothing_else(account: Account) -> None:
    """Somebody may have added rules by hand: of the same network, of none, for another port."""
    provider = account.provider()
    provider.create(replace(account.request(1), ssh_from=(HOME,)))
    (group,) = account.books.security.groups.values()
    by_hand = {"direction": "ingress", "ethertype": "IPv4", "protocol": "tcp"}
    web = {**by_hand, "portRangeMin": 443, "portRangeMax": 443, "remoteIp": OFFICE}
    wide = {**by_hand, "portRangeMin": 1, "portRangeMax": 1024, "remoteIp": HOME}
    servers = {**by_hand, "remoteGroupId": 7}
    everywhere = {"direction": "ingress", "ethertype": "IPv4"}
    account.books.security.add(group["id"], [web, wide, servers, everywhere])
    assert provider.allow(IDENTITY, [OFFICE], only=True) == ([OFFICE], [HOME, "everywhere"])
    left = [rule for rule in group["rules"] if rule["direction"] == "ingress"]
    assert [rule.get("remoteIp") for rule in left] == [OFFICE, None, OFFICE]
    assert [rule.get("portRangeMin") for rule in left] == [443, None, 22]


def test_it_goes_with_the_last_machine_and_again_is_harmless(account: Account) -> None:
    account.books.delays.reclaim = 0.1
    provider = account.provider()
    first, second = provider.create(account.request(2))
    assert provider.delete(IDENTITY, [first]) == []
    assert len(account.books.security.groups) == 1
    assert provider.delete(IDENTITY, [second]) == ["security group muster-retina-0123abcd"]
    assert account.books.security.groups == {} and provider.delete(IDENTITY, []) == []


@pytest.mark.parametrize("block", [{"private_only": True}, {"security_group": False}])
def test_who_needs_none_needs_no_permission_either(account: Account, block: dict[str, bool]) -> None:
    denied = "SoftLayer_Exception_PermissionDenied: no"
    for method in ("getSecurityGroups", "createObject"):
        account.emulator.fault(method, denied, times=99)
    provider = account.provider(softlayer=block)
    machines = provider.create(account.request(softlayer=block))
    assert provider.allow(IDENTITY, [OFFICE]) == ([], [])
    assert provider.delete(IDENTITY, machines) == []
    (guest,) = account.books.orders
    assert guest == ["retina-worker-1"]
