"""The verbs against the emulated API: what is ordered, listed, labelled, stopped and cancelled, in how many calls."""

from __future__ import annotations

import time

import pytest

from provision.config.load import load_config
from provision.core.errors import MusterError, NoCapacity, NotReady, OutcomeUnknown, ProviderError
from provision.core.model import Machine, NodeState
from provision.core.paths import PROJECT
from provision.core.wait import until
from provision.costs.accounts import hourly_rate
from provision.planning.plan import make_plan
from provision.providers.facts import Deadlines, facts_of
from provision.providers.softlayer import orders
from provision.providers.softlayer.client import PER_SECOND, Api
from provision.providers.softlayer.provider import SoftLayerProvider
from provision.providers.softlayer.templates import wish
from tests.fakes.softlayer import IDENTITY, TOKEN, Account


def ready(account: Account, machines: list[Machine]) -> list[Machine]:
    """Wait until all run; return them as listed then."""
    ids = {machine.provider_id for machine in machines}
    provider = account.provider()

    def running() -> list[Machine]:
        there = [m for m in provider.list(IDENTITY) if m.provider_id in ids]
        return there if all(m.state is NodeState.RUNNING for m in there) else []

    found = until(running, deadline_s=5, interval_s=0.02)
    assert found
    return found


def test_a_guest_is_ordered_as_the_config_says(account: Account) -> None:
    account.books.ssh_keys = [{"id": 7, "label": "laptop"}]
    more = {"private_vlan": 42, "private_only": True, "ssh_keys": "laptop", "network_speed": 100, "disk": "local",
            "hourly": False, "os": "DEBIAN_12_64", "startCpus": 2, "maxMemory": 4096}  # fmt: skip
    account.provider(softlayer=more).create(account.request(softlayer=more))
    (guest,) = account.books.guests.values()
    assert guest.template == {
        "hostname": "retina-worker-1",
        "domain": f"mu-0123abcd-{TOKEN}.example.com",
        "datacenter": {"name": "dal13"},
        "startCpus": 2,
        "maxMemory": 4096,
        "operatingSystemReferenceCode": "DEBIAN_12_64",
        "hourlyBillingFlag": False,
        "localDiskFlag": True,
        "networkComponents": [{"maxSpeed": 100}],
        "privateNetworkOnlyFlag": True,
        "primaryBackendNetworkComponent": {"networkVlan": {"id": 42}},
        "blockDevices": [
            {"device": "0", "diskImage": {"capacity": 25}},
            {"device": "2", "diskImage": {"capacity": 100}},
        ],
        "sshKeys": [{"id": 7}],
        "userData": [{"value": "#cloud-config\n"}],
    }


def test_keys_of_2015_mean_what_they_meant(account: Account) -> None:
    old = {
        "startCpus": 4,
        "maxMemory": 8192,
        "hourlyBillingFlag": True,
        "operatingSystemReferenceCode": "UBUNTU_24_64",
        "localDiskFlag": True,
        "networkComponents": [{"maxSpeed": 1000}],
        "blockDevices": [
            {"device": "0", "diskImage": {"capacity": 100}},
            {"device": "2", "diskImage": {"capacity": 250}},
        ],
    }
    account.provider(softlayer=old).create(account.request(softlayer=old))
    (guest,) = account.books.guests.values()
    assert {key: guest.template[key] for key in old} == old
    (machine,) = account.provider().list(IDENTITY)
    told = {key: machine.labels[key] for key in ("cores", "memory_gb", "data_disk_gb")}
    assert told == {"cores": "4", "memory_gb": "8", "data_disk_gb": "250"}


def test_a_flavor_instead_of_cores_and_memory(account: Account) -> None:
    groups = {"master": {"memory_gb": 4}, "worker": {"flavor": "B1_4X16X100", "data_disk_gb": 100}}
    account.provider(groups=groups).create(account.request(groups=groups))
    (guest,) = account.books.guests.values()
    assert guest.template["supplementalCreateObjectOptions"] == {"flavorKeyName": "B1_4X16X100"}
    assert not {"startCpus", "maxMemory"} & set(guest.template)
    assert [disk["device"] for disk in guest.template["blockDevices"]] == ["2"]
    (machine,) = account.provider().list(IDENTITY)
    assert (machine.labels["cores"], machine.labels["memory_gb"]) == ("4", "16")


def test_a_machine_is_up_when_it_is_provisioned(account: Account) -> None:
    account.books.delays.provision = 0.3
    (ordered,) = account.provider().create(account.request())
    assert (ordered.name, ordered.group, ordered.state, ordered.token) == (
        "retina-worker-1", "worker", NodeState.PENDING, TOKEN,
    )  # fmt: skip
    (pending,) = account.provider().list(IDENTITY)
    assert (pending.state, pending.address, pending.ssh_address) == (NodeState.PENDING, "", "")
    (up,) = ready(account, [ordered])
    assert up.address == up.ssh_address != ""
    assert up.data_device == "/dev/xvdc"
    assert abs(up.created - time.time()) < 60


def test_a_hundred_guests_a_look(account: Account) -> None:
    provider = account.provider()
    made = provider.create(account.request(120))
    assert len(made) == len({machine.provider_id for machine in made}) == 120
    account.emulator.calls.clear()
    assert len(provider.list(IDENTITY)) == 120
    assert account.emulator.calls == {"getVirtualGuests": 2}


def test_never_faster_than_the_api_allows(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """The API turns away more than 50 calls a second."""
    monkeypatch.setattr("provision.providers.softlayer.client.PER_SECOND", PER_SECOND)
    # A busy computer answers late: a call that is given up and asked again would count twice.
    monkeypatch.setattr("provision.providers.softlayer.client.TIMEOUT_S", 30.0)
    monkeypatch.setattr("provision.providers.softlayer.client.SLOW_TIMEOUT_S", 30.0)
    account.emulator.per_second = 50
    begin = time.monotonic()
    account.provider().create(account.request(100))
    calls = sum(account.emulator.calls.values())
    assert calls == account.emulator.calls["setTags"] + 6 == 106, "none was turned away"
    assert calls / (time.monotonic() - begin) < 50


def test_guests_without_tags_are_known_by_their_names(account: Account) -> None:
    account.provider().create(account.request(2))
    for guest in account.books.guests.values():
        guest.tags = []
    machines = account.provider().list(IDENTITY)
    assert [(m.name, m.group, m.token) for m in machines] == [
        ("retina-worker-1", "worker", TOKEN), ("retina-worker-2", "worker", TOKEN),
    ]  # fmt: skip
    account.provider().create(account.request(2))
    assert all("muster-cluster:retina" in guest.tags for guest in account.books.guests.values())
    assert len(account.books.orders) == 1


def test_own_tags(account: Account) -> None:
    more = {"tags": ["project x", "cost:7"]}
    account.provider(softlayer=more).create(account.request(softlayer=more))
    (guest,) = account.books.guests.values()
    assert guest.tags == ["muster", "muster-cluster:retina", "muster-group:worker", "project x", "cost:7"]


def test_labels_stay_and_so_do_a_persons_notes(account: Account) -> None:
    provider = account.provider()
    first, second = provider.create(account.request(2))
    account.books.guests[int(first.provider_id)].notes = "Ask Katie before touching this."
    provider.label(IDENTITY, {first.provider_id: {"wish": "3"}})
    provider.label(IDENTITY, {first.provider_id: {"pin": "SHA256:Ab/+="}, second.provider_id: {"wish": "3"}})
    labels = {machine.name: machine.labels for machine in provider.list(IDENTITY)}
    assert (labels["retina-worker-1"]["wish"], labels["retina-worker-1"]["pin"]) == ("3", "SHA256:Ab/+=")
    assert labels["retina-worker-2"]["wish"] == "3"
    assert account.books.guests[int(first.provider_id)].notes.startswith("Ask Katie before touching this.\n")


def test_everything_tells_the_clusters_of_the_account(account: Account) -> None:
    provider = account.provider()
    provider.create(account.request(1))
    other = account.request(1, token="e" * 16)
    foreign = type(IDENTITY)("iris", "00000001")
    provider.create(type(other)(**{**vars(other), "cluster": foreign, "names": ("iris-worker-1",)}))
    found = {m.name: (m.labels["cluster"], m.labels["cluster_id"]) for m in provider.everything()}
    assert found == {"retina-worker-1": ("retina", "0123abcd"), "iris-worker-1": ("iris", "00000001")}


def test_the_image_of_the_recipe_is_booted_when_the_account_has_it(account: Account) -> None:
    account.emulator.add_image("muster-0011223344556677")
    request = account.request()
    baked = type(request)(**{**vars(request), "image": "0011223344556677"})
    account.provider().create(baked)
    (machine,) = account.provider().list(IDENTITY)
    assert machine.image == "0011223344556677"
    plain = type(request)(**{**vars(request), "image": "ffffffffffffffff", "token": "a" * 16,
                             "names": ("retina-worker-2",)})  # fmt: skip
    account.provider().create(plain)
    assert [m.image for m in account.provider().list(IDENTITY)] == ["0011223344556677", ""]


def test_stop_and_start(account: Account) -> None:
    provider = account.provider()
    machines = ready(account, provider.create(account.request(2)))
    provider.stop(IDENTITY, machines)
    assert [m.state for m in provider.list(IDENTITY)] == [NodeState.STOPPED] * 2
    provider.start(IDENTITY, machines)
    assert [m.state for m in provider.list(IDENTITY)] == [NodeState.RUNNING] * 2
    assert account.books.billing() == ["retina-worker-1", "retina-worker-2"]


def test_a_stop_ends_the_bill_but_for_the_disks_and_going_off_from_inside_does_not(account: Account) -> None:
    provider = account.provider()
    machines = ready(account, provider.create(account.request(2)))
    provider.stop(IDENTITY, machines[:1])
    account.emulator.machines.power(int(machines[1].provider_id), on=False)
    assert account.books.suspended() == ["retina-worker-1"]
    assert [m.bills_as_stopped for m in provider.list(IDENTITY)] == [True, False]
    provider.start(IDENTITY, machines)
    account.emulator.machines.power(int(machines[0].provider_id), on=False)
    assert [m.bills_as_stopped for m in provider.list(IDENTITY)] == [False, False]


def test_one_that_does_not_go_off_makes_the_others_no_dearer(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provision.providers.softlayer.provider.SWITCH_S", 0.1)
    provider = account.provider()
    first, second = ready(account, provider.create(account.request(2)))
    real = provider._attempt
    monkeypatch.setattr(
        provider, "_attempt", lambda verb, guest: str(guest) != second.provider_id and real(verb, guest)
    )
    with pytest.raises(ProviderError, match="retina-worker-2: still running after powerOffSoft, powerOff"):
        provider.stop(IDENTITY, [first, second])
    assert account.books.suspended() == ["retina-worker-1"]
    assert [m.bills_as_stopped for m in provider.list(IDENTITY)] == [True, False]


def test_a_price_is_the_api_s_or_not_known(account: Account) -> None:
    group = account.spec().group("worker")
    rate = hourly_rate(account.provider(), group)
    assert rate.hourly == pytest.approx(0.04 + 0.02 + 0.01)  # C1_2X2X25
    assert "SoftLayer's own price" in rate.source
    account.emulator.fault("verifyOrder", "SoftLayer_Exception_Public: no prices today", times=9)
    for stopped in (False, True):
        rate = hourly_rate(account.provider(), group, stopped=stopped)
        assert rate.hourly is None, "better no price than an invented one"
        assert "no prices today" in rate.source


def test_a_datacenter_without_room_has_no_say_in_the_price(account: Account) -> None:
    text = "There is insufficient capacity to complete the request."
    account.emulator.fault("verifyOrder", f"SoftLayer_Exception_Public: {text}")
    price = account.provider().price(account.spec().group("worker"))
    assert price is not None and account.emulator.calls["verifyOrder"] == 2


def test_the_next_datacenter_when_one_is_full(account: Account) -> None:
    account.books.room = {"dal13": 0}
    account.provider().create(account.request(3))
    assert {guest.template["datacenter"]["name"] for guest in account.books.guests.values()} == {"dal10"}
    account.books.room = {}
    account.provider().create(account.request(1, group="master", token="a" * 16))
    where = [guest.template["datacenter"]["name"] for guest in account.books.guests.values()]
    assert where == ["dal10"] * 4, "a cluster that grows stays together"


def test_no_room_anywhere(account: Account) -> None:
    account.books.room = {"dal13": 0, "dal10": 1}
    with pytest.raises(NoCapacity, match=r"no room in dal13 \(.*\), dal10 \(.*\)"):
        account.provider().create(account.request(3))
    assert account.books.guests == {}


def test_room_for_a_part_only(account: Account) -> None:
    """What was ordered is kept: the order is not over, which a lack of all room would be."""
    account.emulator.fault("createObjects", "half")
    with pytest.raises(OutcomeUnknown):
        account.provider().create(account.request(6))
    account.books.room = {"dal13": 0, "dal10": 0}
    with pytest.raises(ProviderError, match=r"; 3 of 6 were ordered and are kept") as caught:
        account.provider().create(account.request(6))
    assert not isinstance(caught.value, NoCapacity)
    account.books.room = {}
    account.provider().create(account.request(6))
    assert len(account.books.billing()) == 6 and account.books.violations == []


@pytest.mark.parametrize("kind", ["lost", "late", "500 after"])
def test_an_order_that_went_through_without_an_answer(account: Account, kind: str) -> None:
    account.emulator.fault("createObjects", kind)
    with pytest.raises(OutcomeUnknown, match="no clear answer to the order"):
        account.provider().create(account.request(3))
    made = account.provider().create(account.request(3))
    assert len(made) == 3
    assert len(account.books.orders) == 1 and account.books.violations == []


@pytest.mark.parametrize("kind", ["dropped", "held", "500"])
def test_an_order_that_never_arrived(account: Account, kind: str) -> None:
    account.emulator.fault("createObjects", kind)
    with pytest.raises(OutcomeUnknown):
        account.provider().create(account.request(3))
    assert account.emulator.calls["createObjects"] == 1, "an order is never repeated blindly"
    account.provider().create(account.request(3))
    assert account.books.orders == [["retina-worker-1", "retina-worker-2", "retina-worker-3"]]


def test_half_of_an_order_is_completed(account: Account) -> None:
    account.emulator.fault("createObjects", "half")
    with pytest.raises(OutcomeUnknown):
        account.provider().create(account.request(10))
    account.provider().create(account.request(10))
    assert [len(order) for order in account.books.orders] == [5, 5]
    assert len(account.books.billing()) == 10 and account.books.violations == []


def test_an_order_is_of_ten_machines_each_with_a_token_of_its_own(account: Account) -> None:
    """A lost answer then leaves ten in doubt at most, and the settling time counts from their own order."""
    account.cluster(25).ensure()
    assert [len(order) for order in account.books.orders] == [1, 10, 10, 4]
    tokens = {guest.template["domain"] for guest in account.books.guests.values()}
    assert len(tokens) == 4


def test_what_only_reads_is_repeated(account: Account) -> None:
    account.provider().create(account.request(1))
    for kind in ("500", "dropped", "throttled", "held"):
        account.emulator.fault("getVirtualGuests", kind)
        assert len(account.provider().list(IDENTITY)) == 1


def test_an_order_that_was_throttled_is_placed_once(account: Account) -> None:
    account.emulator.fault("createObjects", "throttled", times=2)
    assert len(account.provider().create(account.request(3))) == 3
    assert len(account.books.orders) == 1


def test_cancel_waits_for_the_transaction_and_sees_the_end(account: Account) -> None:
    account.books.delays.provision = 0.4
    account.books.delays.reclaim = 0.3
    provider = account.provider()
    begin = time.monotonic()
    provider.delete(IDENTITY, provider.create(account.request(3)))
    assert time.monotonic() - begin > 0.6
    assert provider.list(IDENTITY) == [] and account.books.guests == {}
    assert account.emulator.calls["deleteObject"] == 3 + 1, "nothing is cancelled while a transaction runs"


@pytest.mark.parametrize("kind", ["lost", "dropped", "500", "500 after", "throttled"])
def test_cancel_without_an_answer(account: Account, kind: str) -> None:
    provider = account.provider()
    machines = ready(account, provider.create(account.request(2)))
    account.emulator.fault("deleteObject", kind)
    provider.delete(IDENTITY, machines)
    assert account.books.guests == {}


def test_a_cancel_that_takes_too_long_says_what_still_bills(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = {"deadlines": {"boot": 0.1}}
    account.books.delays.provision = 60
    provider = account.provider(**more)
    machines = provider.create(account.request(1))
    monkeypatch.setattr(facts_of("softlayer"), "deadlines", Deadlines(boot=0.1, gone=0.1))
    with pytest.raises(ProviderError, match=r"retina-worker-1 \(CLOUD_PROVISION_SETUP\): not gone .* bills"):
        provider.delete(IDENTITY, machines)


def line(error: MusterError) -> str:
    assert "\n" not in str(error)
    return str(error)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (
            {"softlayer": {"datacenter": []}},
            "retina.yml: softlayer.datacenter: not set. Say where: ams03, dal10",
        ),
        (
            {"softlayer": {"datacenter": "dal31"}},
            "retina.yml: groups.master: 'dal31' is no datacenter that SoftLayer offers this account. Did you mean dal",
        ),
        (
            {"softlayer": {"os": "DEBIAN_14_64"}},
            "'DEBIAN_14_64' is no operating system that SoftLayer offers",
        ),
        ({"groups": {"worker": {"flavor": "B1_2X8X10"}}}, "groups.worker: 'B1_2X8X10' is no flavor"),
        (
            {"softlayer": {"maxMemory": 7168}},
            "memory: 7 GiB is not offered by SoftLayer. Offered: 1 GiB, 2 GiB",
        ),
        ({"softlayer": {"startCpus": 3}}, "groups.master: processors: 3 is not offered"),
        (
            {"groups": {"worker": {"cores": 99}}},
            "no flavor that SoftLayer offers this account has 99 cores",
        ),
        ({"groups": {"worker": {"data_disk_gb": 77}}}, "groups.worker: data disk: 77 GB is not offered"),
        (
            {"softlayer": {"network_speed": 42}},
            "network speed: 42 Mbit/s is not offered by SoftLayer. Offered: 100",
        ),
        (
            {"softlayer": {"ssh_keys": ["mine"]}},
            "softlayer.ssh_keys: the account has no SSH key 'mine'. It has: none",
        ),
        ({"groups": {"worker": {"image": "nightly*"}}}, "SoftLayer: there is no private image 'nightly*'"),
    ],
)
def test_what_is_not_offered_is_refused_before_anything_is_ordered(account: Account, keys, said) -> None:
    spec = account.spec(**{"groups": {"master": {"memory_gb": 4}}, **keys})
    with pytest.raises(NotReady) as caught:
        account.provider(**{"groups": {"master": {"memory_gb": 4}}, **keys}).check_ready(
            spec, make_plan(spec, [])
        )
    assert said in line(caught.value)
    assert account.emulator.calls["createObjects"] == 0


def test_what_is_offered_is_not_refused(account: Account) -> None:
    spec = account.spec()
    account.provider().check_ready(spec, make_plan(spec, []))


def test_the_inventory_that_is_shipped_can_be_ordered(account: Account) -> None:
    spec = load_config(PROJECT / "inventories" / "softlayer.yml")
    SoftLayerProvider(spec, account.folder).check_ready(spec, make_plan(spec, []))


def test_somebody_elses_cluster_of_the_same_name(account: Account) -> None:
    account.provider().create(account.request(1))
    spec = account.spec()
    with pytest.raises(NotReady, match=r"another cluster retina \(id 0123abcd\) has this machine"):
        account.provider().check_ready(spec, make_plan(spec, []))
    account.provider().check_ready(spec, make_plan(spec, account.provider().list(IDENTITY)))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"api_key": "x" * 64},
            "SoftLayer: the credentials are refused. Check username and api_key in ~/.softlayer",
        ),
        (
            {"username": "", "api_key": ""},
            "SoftLayer: there are no credentials. Write them into ~/.softlayer",
        ),
        ({"endpoint": "http://127.0.0.1:9"}, "SoftLayer: the API cannot be reached"),
    ],
)
def test_settings_that_do_not_work(account: Account, settings: dict[str, str], said: str) -> None:
    account.emulator.write_settings(**settings)
    with pytest.raises(MusterError) as caught:
        account.provider().list(IDENTITY)
    assert said in line(caught.value)
    assert "x" * 64 not in line(caught.value)


def test_an_order_that_never_left_this_computer_is_no_open_question(account: Account) -> None:
    account.emulator.write_settings(endpoint="http://127.0.0.1:9")
    request = account.request(1)
    with pytest.raises(ProviderError, match="cannot be reached") as caught:
        orders.place(
            Api(), request, wish(request.group), request.names, datacenters=["dal13"], image_id="", key_ids=[]
        )
    assert not isinstance(caught.value, OutcomeUnknown)


def test_what_is_said_of_the_bill() -> None:
    facts = facts_of("softlayer")
    assert "BILL ON" in facts.at_end
    assert "cost their disks, which BILL ON" in facts.when_stopped and "25 %" in facts.when_stopped
