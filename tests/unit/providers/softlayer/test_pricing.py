"""Prices, judged by the answers that IBM's own client is tested with, and by the emulator's."""

from __future__ import annotations

from typing import Any

import pytest
import SoftLayer
from SoftLayer.testing import MockableTransport
from SoftLayer.transports import FixtureTransport

from provision.providers.softlayer import offers
from provision.providers.softlayer.client import Api
from provision.providers.softlayer.pricing import quote
from provision.providers.softlayer.templates import wish
from tests.fakes.softlayer import Account

GUEST: dict[str, Any] = {"datacenter": {"name": "dal13"}}


@pytest.fixture
def transport(monkeypatch: pytest.MonkeyPatch) -> MockableTransport:
    """Let the API answer with softlayer-python's fixtures."""
    made = MockableTransport(FixtureTransport())
    client = SoftLayer.BaseClient(transport=made)
    monkeypatch.setattr(Api, "_new_client", lambda *_: client)
    return made


def echo_order(transport: MockableTransport) -> None:
    transport.set_mock("SoftLayer_Product_Order", "verifyOrder").side_effect = lambda call: call.args[0]


def test_a_flavor_s_processors_are_counted(transport: MockableTransport) -> None:
    """The order of the fixture has one priced item, a network port for $0.02; the preset has all the rest."""
    echo_order(transport)
    found = quote(Api(), GUEST, hourly=True)
    assert found is not None
    assert found.running.hourly == pytest.approx(0.02 + 1.425 + 0.342 + 0.181)
    assert found.suspended.hourly == 0
    assert "25 %" in found.suspended.source


def test_the_datacenter_s_own_prices_win(transport: MockableTransport) -> None:
    """In IBM's answers memory and processors cost more in Montreal."""
    echo_order(transport)
    prices = SoftLayer.fixtures.SoftLayer_Product_Package.getItemPrices
    transport.set_mock("SoftLayer_Product_Package_Preset", "getObject").return_value = {
        "prices": [
            {"hourlyRecurringFee": "0.01", "item": {"id": each["item"]["id"], **each["item"]}}
            for each in prices
        ]
    }
    there = quote(Api(), {"datacenter": {"name": "mon01"}}, hourly=True)
    elsewhere = quote(Api(), GUEST, hourly=True)
    assert there is not None and elsewhere is not None
    assert there.hourly == pytest.approx(0.02 + 0.093 + 0.006 + 0.217)
    assert elsewhere.hourly == pytest.approx(0.02 + 3 * 0.01)


def test_a_price_without_processors_is_not_believed(transport: MockableTransport) -> None:
    echo_order(transport)
    transport.set_mock("SoftLayer_Product_Package_Preset", "getObject").return_value = {
        "prices": SoftLayer.fixtures.SoftLayer_Product_Package.getActivePresets[0]["prices"]
    }
    assert quote(Api(), GUEST, hourly=True) is None


def test_ibm_s_options_can_be_read(transport: MockableTransport, account: Account) -> None:
    """They are of the days of Debian 7, so the system is refused, with their list."""
    fixture = SoftLayer.fixtures.SoftLayer_Virtual_Guest.getCreateObjectOptions
    group = account.spec(softlayer={"os": "DEBIAN_7_64", "datacenter": "dal05"}).group("worker")
    with pytest.raises(
        offers.NotReady, match="no flavor .* Offered: B1_1X2X100, B1_1X2X25, C1_1X2X25, M1_1X2X100"
    ):
        offers.choose(wish(group), fixture, "here")
    with pytest.raises(offers.NotReady, match="Offered: CENTOS_6_64, DEBIAN_7_64, UBUNTU_12_64"):
        offers.choose(wish(account.spec().group("worker")), fixture, "here")


def test_what_is_priced_by_use_and_by_place(account: Account) -> None:
    def price(**block: Any) -> float:
        found = account.provider(softlayer=block).price(account.spec(softlayer=block).group("worker"))
        assert found is not None
        return found.hourly

    assert price() == pytest.approx(0.04 + 0.02 + 0.01)
    assert price(datacenter="ams03") == pytest.approx((0.04 + 0.02) * 1.1 + 0.01)
    assert price(startCpus=2, maxMemory=4096) == pytest.approx(0.04 + 0.04 + 0.01)


def test_a_stopped_machine_costs_its_disks_where_it_can_be_suspended(account: Account) -> None:
    def stopped(**block: Any) -> float:
        found = account.provider(softlayer=block).price_stopped(account.spec(softlayer=block).group("worker"))
        assert found is not None
        return found.hourly

    assert stopped() == pytest.approx(0.01)
    assert stopped(hourly=False) > 0.05
    assert stopped(startCpus=2, maxMemory=4096) == pytest.approx(0.09)
