"""The policy of docs/ec2.md: enough for all that is called, and no way to what somebody else has made.

The emulator evaluates it for every call of every test, with the tags that the resource has at that moment.
"""

from __future__ import annotations

import pytest

from provision.core.errors import NotReady
from provision.core.paths import PROJECT
from provision.providers.ec2 import tags
from provision.ssh.hostkey import LABEL as HOST_KEY
from tests.emulators.ec2.policy import ARN, SHARED_ARN, Context, Question, documented
from tests.fakes.ec2 import IDENTITY, Cloud, check, order

OURS = {f"aws:ResourceTag/{key}": [value] for key, value in tags.of_cluster(IDENTITY).items()}
INSTANCE, GROUP = f"{ARN}:instance/i-1", f"{ARN}:security-group/sg-1"
PINNED = f"{tags.LABEL}{HOST_KEY}"


def permits(action: str, resource: str, known: Context) -> bool:
    return Question(action, resource, known).permitted()


def life(cloud: Cloud) -> None:
    """Everything that Muster ever calls, the second destroy included."""
    groups = {"worker": {"instance_type": "t3.small", "spot": True, "max_price": 1.0}}
    provider = cloud.provider(groups=groups)
    check(provider)
    workers = provider.create(order(provider))
    provider.label(IDENTITY, {workers[0].provider_id: {HOST_KEY: "b"}})
    provider.price(provider.spec.group("master"))
    master = provider.create(order(provider, "master", 1, token="1" * 32))
    provider.label(IDENTITY, {master[0].provider_id: {HOST_KEY: "c", "wish": "3"}})
    provider.label(IDENTITY, {master[0].provider_id: {HOST_KEY: "c", "wish": "2", "deadline": "1800000000"}})
    provider.allow(IDENTITY, ["192.0.2.0/24"], only=True)
    provider.stop(IDENTITY, master)
    maker = provider.image_maker()
    (wish,) = maker.wishes({"master": "f" * 16}, ["us-east-1"])
    maker.capture(wish, master[0], "mark")
    found = maker.find(wish, wish.place)
    assert found
    maker.copy(wish, found, "us-east-1")
    for image in maker.everything():
        maker.remove(image)
    provider.start(IDENTITY, master)
    provider.at_poweroff(IDENTITY, provider.list(IDENTITY), delete=True)
    assert provider.stays_at_poweroff(provider.list(IDENTITY)) == []
    provider.delete(IDENTITY, [*workers, *master])
    provider.delete(IDENTITY, [])


def test_all_that_is_called_is_permitted_and_all_that_is_permitted_is_called(cloud: Cloud) -> None:
    life(cloud)
    books = cloud.emulator.books()
    permitted = {action for statement in documented() for action in statement["Action"]}
    assert permitted == set(books["asked"])
    assert cloud.emulator.left_over() == []


@pytest.mark.parametrize("action", ["DeleteKeyPair", "DeleteSecurityGroup", "TerminateInstances"])
def test_what_does_not_exist_is_not_deleted_but_looked_for(cloud: Cloud, action: str) -> None:
    """AWS says UnauthorizedOperation, not that there is none, to whoever may delete only what is tagged."""
    provider = cloud.provider()
    made = provider.create(order(provider, count=1))
    provider.delete(IDENTITY, made)
    before = cloud.emulator.books()["calls"]
    assert provider.delete(IDENTITY, []) == cloud.provider().delete(IDENTITY, []) == []
    assert cloud.emulator.books()["calls"][action] == before[action]


def test_the_emulator_refuses_what_the_policy_does_not_permit(cloud: Cloud) -> None:
    import boto3
    from botocore.exceptions import ClientError

    client = boto3.client("ec2")
    provider = cloud.provider()
    made = provider.create(order(provider, count=1))[0].provider_id.partition("/")[2]
    for call in (
        lambda: client.delete_key_pair(KeyName="not-there"),
        lambda: client.create_vpc(CidrBlock="10.9.0.0/16"),
        lambda: client.create_tags(Resources=[made], Tags=[{"Key": tags.CLUSTER_ID, "Value": "mine"}]),
        lambda: client.modify_instance_attribute(InstanceId=made, UserData={"Value": b"mine"}),
    ):
        with pytest.raises(ClientError, match="UnauthorizedOperation"):
            call()


def test_what_somebody_else_has_made_cannot_be_taken_over() -> None:
    """Not by giving it our tag, and not without it."""
    for resource in (INSTANCE, GROUP):
        for keys in ([tags.CLUSTER_ID], ["Name"], [PINNED], []):
            assert not permits("ec2:CreateTags", resource, {"aws:TagKeys": keys})
    looks = {"ec2:Describe", "pricing:Get", "servicequotas:Get", "sts:Get"}
    makes = {"ec2:CopyImage", "ec2:RunInstances", "ec2:CreateSecurityGroup", "ec2:ImportKeyPair"}
    for action in {action for statement in documented() for action in statement["Action"]} - makes:
        if not action.startswith(tuple(looks)):
            assert not permits(action, INSTANCE, {}), action


def test_what_is_ours_gets_labels_and_no_other_identity() -> None:
    for key, right in (
        ("Name", True),
        (f"{tags.LABEL}deadline", True),
        (tags.CLUSTER_ID, False),
        (tags.TOKEN, False),
    ):
        assert permits("ec2:CreateTags", INSTANCE, {**OURS, "aws:TagKeys": [key]}) is right
    assert not permits("ec2:CreateTags", INSTANCE, {**OURS, "aws:TagKeys": ["Name", tags.CLUSTER_ID]})
    assert not permits("ec2:CreateTags", GROUP, {**OURS, "aws:TagKeys": ["Name"]}), (
        "machines alone have labels"
    )


def test_a_pinned_host_key_cannot_be_forged(cloud: Cloud) -> None:
    """`adopt` goes by it. Muster writes it once; nobody with the policy writes it again, or takes it away."""
    provider = cloud.provider()
    (made,) = provider.create(order(provider, count=1))
    provider.label(IDENTITY, {made.provider_id: {HOST_KEY: "true"}})
    with pytest.raises(NotReady, match="does not permit CreateTags"):
        provider.label(IDENTITY, {made.provider_id: {HOST_KEY: "forged"}})
    with pytest.raises(NotReady, match="does not permit CreateTags"):
        provider.label(IDENTITY, {made.provider_id: {HOST_KEY: "forged", "wish": "3"}})
    provider.label(IDENTITY, {made.provider_id: {HOST_KEY: "true", "wish": "3"}})
    (found,) = provider.list(IDENTITY)
    assert (found.labels[HOST_KEY], found.labels["wish"]) == ("true", "3")
    assert not permits("ec2:DeleteTags", INSTANCE, {**OURS, "aws:TagKeys": [PINNED]})


def test_the_page_about_adoption_says_what_that_right_is_worth() -> None:
    text = " ".join((PROJECT / "docs" / "team.md").read_text(encoding="utf-8").split())
    assert "may forge host keys for `adopt`" in text and "written once and never be changed" in text


def test_images_are_made_of_our_machines_and_only_ours_are_removed() -> None:
    image, snapshot = f"{SHARED_ARN}:image/ami-1", f"{SHARED_ARN}:snapshot/snap-1"
    assert permits("ec2:CreateImage", INSTANCE, OURS) and not permits("ec2:CreateImage", INSTANCE, {})
    for action, resource in (("ec2:DeregisterImage", image), ("ec2:DeleteSnapshot", snapshot)):
        assert permits(action, resource, {f"aws:ResourceTag/{tags.IMAGE}": ["muster-x"]})
        assert not permits(action, resource, {}), "anybody else's"
        assert not permits("ec2:CreateTags", resource, {"aws:TagKeys": [tags.IMAGE]}), (
            "which nothing turns into ours"
        )
