"""What is chosen from an account's options, and what is refused: IBM's real names of flavors and systems."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from provision.core.errors import NotReady, ProviderError
from provision.planning.plan import make_plan
from provision.planning.sites import refusals
from provision.providers.softlayer import offers, orders
from provision.providers.softlayer.client import SLOW_TIMEOUT_S, Api
from provision.providers.softlayer.templates import USER_DATA_LIMIT, template, wish
from tests.emulators.softlayer import options
from tests.fakes.softlayer import Account


def offered(*systems: str, flavors: tuple[str, ...] = options.NAMES) -> dict[str, Any]:
    return {
        "operatingSystems": [{"template": {"operatingSystemReferenceCode": code}} for code in systems],
        "flavors": [
            {"template": {"supplementalCreateObjectOptions": {"flavorKeyName": name}}} for name in flavors
        ],
    }


@pytest.mark.parametrize(
    ("systems", "chosen"),
    [
        (("DEBIAN_12_64", "DEBIAN_13_64", "UBUNTU_24_64"), "DEBIAN_13_64"),
        (("DEBIAN_13_64", "DEBIAN_13.2_64", "DEBIAN_13_1_64"), "DEBIAN_13.2_64"),
    ],
)
def test_the_newest_debian_13_that_there_is(account: Account, systems: tuple[str, ...], chosen: str) -> None:
    wanted = wish(account.spec().group("worker"))
    assert offers.choose(wanted, offered(*systems), "here").os == chosen


def test_without_debian_13_the_line_tells_what_there_is(account: Account) -> None:
    wanted = wish(account.spec().group("worker"))
    with pytest.raises(NotReady) as caught:
        offers.choose(
            wanted, offered("DEBIAN_12_64", "UBUNTU_24_64", "WIN_2022_64"), "retina.yml: groups.worker"
        )
    assert "no Debian 13" in str(caught.value) and "\n" not in str(caught.value)
    assert str(caught.value).endswith("Offered: DEBIAN_12_64, UBUNTU_24_64, WIN_2022_64")


@pytest.mark.parametrize(
    ("group", "block", "flavor"),
    [
        ({"cores": 1, "memory_gb": 3}, {}, "B1_1X4X25"),
        ({"cores": 2, "memory_gb": 2}, {}, "C1_2X2X25"),
        ({"cores": 4, "memory_gb": 16}, {}, "B1_4X16X25"),
        ({"cores": 1, "memory_gb": 8}, {}, "M1_1X8X25"),
        ({"cores": 2, "memory_gb": 8}, {"root_disk_gb": 100}, "B1_2X8X100"),
        ({"cores": 2, "memory_gb": 4}, {"disk": "local"}, "BL2_2X4X100"),
    ],
)
def test_the_smallest_flavor_that_fits(
    account: Account, group: dict[str, float], block: dict[str, Any], flavor: str
) -> None:
    wanted = wish(account.spec(groups={"worker": group}, softlayer=block).group("worker"))
    found = offers.choose(wanted, offered("DEBIAN_13_64"), "here")
    assert found.flavor == flavor
    assert "0" not in found.disks, "it brings its own first disk"
    assert found.local_disk is (block.get("disk") == "local")


def test_keys_of_2015_and_accounts_without_flavors_order_sizes_as_they_are(account: Account) -> None:
    old = wish(account.spec(softlayer={"startCpus": 2, "maxMemory": 4096}).group("worker"))
    assert offers.choose(old, offered("DEBIAN_13_64"), "here").flavor == ""
    plain = wish(account.spec().group("worker"))
    assert offers.choose(plain, offered("DEBIAN_13_64", flavors=()), "here").flavor == ""


def test_a_machine_may_be_larger_than_asked_for_and_never_smaller(account: Account) -> None:
    groups = {"master": {"memory_gb": 4}, "worker": {"cores": 1, "memory_gb": 3}}
    provider = account.provider(groups=groups)
    (machine,) = provider.create(account.request(groups=groups))
    account.emulator.machines.boot_all()
    machine = replace(machine, state=type(machine.state).RUNNING)
    assert provider.unlike(account.spec(groups=groups).group("worker"), machine) == []
    groups["worker"]["cores"] = 2
    assert provider.unlike(account.spec(groups=groups).group("worker"), machine) == ["1 cores, not 2"]


@pytest.mark.parametrize("group", [{"gpu": {"count": 1}}, {"gpu_old": {"count": 1, "flavor": "AC1_8X60X25"}}])
def test_graphics_cards_are_refused_in_one_line(account: Account, group: dict[str, Any]) -> None:
    groups = {"master": {"memory_gb": 4}, **group}
    lines = refusals(account.spec(groups=groups, object_store={"kind": "s3", "container": "my-bucket"}))
    assert [line for line in lines if "which Muster cannot make at softlayer" in line and "ec2" in line]


def test_an_image_template_brings_its_own_first_disk(account: Account) -> None:
    wanted = wish(account.spec(softlayer={"startCpus": 2, "maxMemory": 4096}).group("worker"))
    made = template(wanted, hostname="a", domain="b.c", datacenter="dal13", image_id="0-0-0-0-0")
    assert [disk["device"] for disk in made["blockDevices"]] == ["2"]


def test_more_user_data_than_is_taken_is_refused_before_the_order(account: Account) -> None:
    request = replace(account.request(), user_data="x" * (USER_DATA_LIMIT + 1))
    with pytest.raises(NotReady, match="16385 bytes for the first boot"):
        account.provider().create(request)
    assert account.emulator.calls["createObjects"] == 0


def test_the_account_s_limit_is_told_with_what_to_do(account: Account) -> None:
    account.books.limit = 2
    with pytest.raises(ProviderError, match=r"maximum number of public virtual servers.*Limits"):
        account.provider().create(account.request(3))


def test_what_cannot_be_asked_is_said(account: Account) -> None:
    spec = account.spec()
    said = account.provider().check_ready(spec, make_plan(spec, []))
    assert len(said) == 1 and "whether there is room" in said[0] and "cloud-init" in said[0]
    account.emulator.fault("verifyOrder", "500", times=99)
    said = account.provider().check_ready(spec, make_plan(spec, []))
    assert any("could not be verified" in line for line in said)


def test_an_order_that_would_be_refused_is_refused_before(account: Account) -> None:
    account.emulator.fault("verifyOrder", "SoftLayer_Exception_Public: Price # 9 is not valid.", times=9)
    spec = account.spec()
    with pytest.raises(NotReady, match="would refuse the order: Price # 9 is not valid"):
        account.provider().check_ready(spec, make_plan(spec, []))


def test_calls_that_take_their_time_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    given: list[float] = []
    monkeypatch.setattr(Api, "_new_client", lambda _, seconds: given.append(seconds))
    api = Api()
    for method in ("getCreateObjectOptions", "createObjects", "verifyOrder", "generateOrderTemplate"):
        api._client(method)
    assert given == [SLOW_TIMEOUT_S] and SLOW_TIMEOUT_S >= 180


def test_where_a_cluster_is_already_comes_first(account: Account) -> None:
    wanted = wish(account.spec().group("worker"))
    assert orders.where(wanted, [{"datacenter": {"name": "dal10"}}]) == ["dal10", "dal13"]
