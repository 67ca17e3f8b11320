"""What the real API's texts mean; they are from SLDN, from softlayer-python and from issues of other clients."""

from __future__ import annotations

import pytest
import SoftLayer

from provision.core.errors import NotReady
from provision.providers.softlayer.failures import ApiError, Kind, explain
from tests.fakes.softlayer import IDENTITY, Account

PUBLIC = "SoftLayer_Exception_Public"


def said(code: str, text: str) -> Exception:
    return explain(SoftLayer.SoftLayerAPIError(code, text))


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (PUBLIC, "Access Denied. "),
        (PUBLIC, "Invalid username/password"),
        ("SoftLayer_Exception", "Invalid API token."),
        ("SoftLayer_Exception_WebService_Unauthorized", "Unauthorized"),
        ("401", "401 Client Error"),
    ],
)
def test_credentials_that_are_refused(code: str, text: str) -> None:
    found = said(code, text)
    assert isinstance(found, NotReady)
    assert "the credentials are refused" in str(found)


@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [
        (PUBLIC, "There is currently an outstanding transaction for this server.", Kind.BUSY),
        (PUBLIC, "Unable to cancel this guest while there are active transactions.", Kind.BUSY),
        ("SoftLayer_Exception_NotReady", "The guest is not ready.", Kind.BUSY),
        ("SoftLayer_Exception_Virtual_Guest_AlreadyHalted", "The guest is already halted.", Kind.ALREADY),
        ("SoftLayer_Exception_Virtual_Guest_AlreadyRunning", "The guest is running.", Kind.ALREADY),
        ("SoftLayer_Exception_Virtual_Host_Pool_InsufficientCapacity", "No room.", Kind.NO_ROOM),
        ("SoftLayer_Exception_Virtual_Host_Pool_InsufficientResources", "No room.", Kind.NO_ROOM),
        (
            PUBLIC,
            "There is insufficient capacity to complete the request. Please try again later.",
            Kind.NO_ROOM,
        ),
        ("SoftLayer_Exception_WebService_RateLimitExceeded", "Rate limit exceeded.", Kind.THROTTLED),
        ("SoftLayer_Exception_ObjectNotFound", "Unable to find object with id of '7'.", Kind.MISSING),
        ("SOAP-ENV:Server", "Internal Error", Kind.UNCLEAR),
        (PUBLIC, "Internal Error", Kind.UNCLEAR),
        (PUBLIC, "Price # 1 is not valid for package 1035.", Kind.REFUSED),
    ],
)
def test_kinds(code: str, text: str, kind: Kind) -> None:
    found = said(code, text)
    assert isinstance(found, ApiError)
    assert found.kind is kind


def test_more_words_than_access_denied_are_told() -> None:
    found = said(PUBLIC, "Access Denied. The VLAN 42 belongs to another account.")
    assert isinstance(found, ApiError) and "VLAN 42" in str(found)


@pytest.mark.parametrize(
    "text", ["Notes are limited to 1000 characters.", "Unlimited bandwidth is not valid."]
)
def test_not_every_limit_is_the_account_s(text: str) -> None:
    assert "docs/softlayer.md, Limits" not in str(said(PUBLIC, text))


def test_a_limit_of_the_account_says_what_to_do() -> None:
    text = "The maximum number of virtual servers on this account was reached."
    assert "docs/softlayer.md, Limits" in str(said(PUBLIC, text))


def test_more_than_the_api_can_answer_is_asked_in_smaller_pages(account: Account) -> None:
    account.provider().create(account.request(60))
    account.books.heavy = 30
    assert len(account.provider().list(IDENTITY)) == 60
    assert account.emulator.calls["getVirtualGuests"] < 8


def test_on_or_off_already_is_what_was_asked_for(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provision.providers.softlayer.provider.SWITCH_S", 0.1)
    provider = account.provider()
    machines = provider.create(account.request(1))
    for method, code in (("powerOffSoft", "AlreadyHalted"), ("powerOn", "AlreadyRunning")):
        account.emulator.fault(method, f"SoftLayer_Exception_Virtual_Guest_{code}: already")
    provider.stop(IDENTITY, machines)
    provider.start(IDENTITY, machines)
