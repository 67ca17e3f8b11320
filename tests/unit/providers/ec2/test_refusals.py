"""EC2: what is refused before anything is made, each in one line that names the remedy."""

from __future__ import annotations

from typing import Any

import boto3
import pytest

from provision.core.errors import MusterError, NotReady, ProviderError
from provision.providers.ec2.client import Clients
from tests.emulators.ec2 import images
from tests.fakes.ec2 import IDENTITY, Cloud, check, order


def worker(**keys: Any) -> dict[str, Any]:
    return {"groups": {"worker": {"instance_type": "t3.small", "data_disk_gb": 10, **keys}}}


def test_a_good_config_is_ready_and_nothing_is_made(cloud: Cloud) -> None:
    check(cloud.provider())
    assert cloud.emulator.left_over() == []


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (worker(instance_type="t3.tiny"), r"instance_type: there is no .*instance type.*t3\.tiny.*describe-instance-types"),
        (worker(instance_type=[]), r"groups\.worker\.instance_type: EC2 needs to know .* Name a type"),
        (worker(instance_type="t3.micro"), r"t3\.micro has 1 GiB, groups\.worker\.memory_gb asks for 2.*larger"),
        (worker(cores=4), r"t3\.small has 2 core\(s\), groups\.worker\.cores asks for 4.*larger"),
        (worker(image="debian-99-*"), r"groups\.worker\.image: no image of self is called 'debian-99-\*'.*image_owner"),
        (worker(image="ami-0123456789abcdef0"), r"groups\.worker\.image: there is no image ami-0123"),
        (worker(image=images.NVIDIA), r"ami-0dea1ea2.* \(Deep Learning .*\) has Ubuntu, and nodes run Debian 13\. Leave `image` out"),
        (worker(image="debian-12-*") | {"ec2": {"image_owner": "136693071363"}}, r"groups\.worker\.image: .*debian-12, and nodes run Debian 13"),
        (worker(subnet="subnet-0123456789abcdef0"), r"subnet.*Name subnets of the region eu-west-1"),
        ({"ec2": {"vpc": "vpc-0123456789abcdef0"}}, r"vpc-0123456789abcdef0 has no subnet"),
        (worker(spot=True, max_price=0.01), r"max_price: 0\.01 is below the market: t3\.small in eu-west-1a costs 0\.03"),
        ({"groups": {"gpu": {"count": 1, "instance_type": "t3.large"}}}, r"t3\.large has no GPU.*g5\.xlarge"),
        ({"ec2": {"region": "eu-wst-1"}}, r"there is no region 'eu-wst-1'\. Did you mean eu-west-1"),
        ({"ec2": {"profile": "nobody"}}, r"nobody.*aws configure"),
    ],
)  # fmt: skip
def test_refused(cloud: Cloud, keys: dict[str, Any], message: str) -> None:
    with pytest.raises(NotReady, match=message) as caught:
        check(cloud.provider(**keys))
    assert "\n" not in str(caught.value)
    assert cloud.emulator.left_over() == []


def test_groups_that_could_not_reach_each_other(cloud: Cloud) -> None:
    cloud.emulator.set(policy=False)
    client = boto3.client("ec2")
    vpc = client.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = client.create_subnet(VpcId=vpc, CidrBlock="10.9.1.0/24")["Subnet"]["SubnetId"]
    with pytest.raises(NotReady, match="master and worker are in different VPCs"):
        check(cloud.provider(**worker(subnet=subnet)))
    check(cloud.provider(ec2={"subnet": subnet, "ssh_address": "private"}))
    with pytest.raises(NotReady, match=rf"no public address in {subnet}\. Set ec2\.ssh_address"):
        check(cloud.provider(ec2={"subnet": subnet}))
    check(cloud.provider(ec2={"subnet": subnet, "ssh_address": "public"}))
    check(cloud.provider(ec2={"subnet": subnet, "jump_host": "ada@gate.example"}))


def test_no_default_vpc(cloud: Cloud) -> None:
    cloud.emulator.fault("DescribeVpcs", "empty", code="vpcSet")
    with pytest.raises(NotReady, match=r"no default VPC.*create-default-vpc"):
        check(cloud.provider())


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("ExpiredToken", "have expired, or this computer's clock is wrong.*aws sso login"),
        ("RequestExpired", "clock.*date -u"),
        ("AuthFailure", "does not accept these credentials"),
        ("SignatureDoesNotMatch", "clock may be wrong"),
        ("UnauthorizedOperation", "does not permit .*docs/ec2.md has the policy"),
    ],
)
def test_credentials(cloud: Cloud, code: str, message: str) -> None:
    cloud.emulator.fault("GetCallerIdentity", "error", code=code, times=2)  # elsewhere, too
    with pytest.raises(NotReady, match=message):
        check(cloud.provider())


def test_a_region_that_the_account_has_not_enabled(cloud: Cloud) -> None:
    cloud.emulator.fault("GetCallerIdentity", "error", code="InvalidClientTokenId")
    with pytest.raises(NotReady, match="region eu-west-1 is not enabled for this account.*Enable it"):
        check(cloud.provider())


def test_a_region_that_is_newer_than_this_boto3_is_let_pass(cloud: Cloud) -> None:
    with pytest.raises(NotReady, match="there is no region 'eu-wst-9'"):
        Clients().ec2("eu-wst-9")
    assert Clients().ec2("eu-west-9").meta.region_name == "eu-west-9"


def test_something_that_is_not_aws_answers(cloud: Cloud) -> None:
    """A proxy's page, for example; the emulator has no such region either, and says so in HTML."""
    with pytest.raises(ProviderError, match="AWS cannot be reached.*network and proxy") as caught:
        check(cloud.provider(ec2={"region": "eu-west-9"}))
    assert "\n" not in str(caught.value)


def test_a_security_group_that_is_full(cloud: Cloud) -> None:
    provider = cloud.provider()
    provider.create(order(provider, count=1))
    cloud.emulator.fault("AuthorizeSecurityGroupIngress", "error", code="RulesPerSecurityGroupLimitExceeded")
    with pytest.raises(NotReady, match="security group is full.*allow --only"):
        provider.allow(IDENTITY, ["192.0.2.0/24"])


def test_what_is_not_permitted_is_known_before_anything_is_made(cloud: Cloud) -> None:
    cloud.emulator.set(denied=["ec2:RunInstances"])
    with pytest.raises(NotReady, match="groups.master: AWS does not permit RunInstances"):
        cloud.cluster(2).view.ready(cloud.cluster(2).view.plan())
    with pytest.raises(NotReady, match="does not permit RunInstances"):
        cloud.cluster(2).ensure()
    assert cloud.emulator.left_over() == []


def test_no_credentials_at_all(cloud: Cloud) -> None:
    (cloud.emulator.folder / "credentials").rename(cloud.emulator.folder / "away")
    try:
        with pytest.raises(NotReady, match="there are no AWS credentials.*aws configure"):
            check(cloud.provider())
    finally:
        (cloud.emulator.folder / "away").rename(cloud.emulator.folder / "credentials")


def test_no_region(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    with pytest.raises(NotReady, match=r"no region is named.*ec2\.region"):
        check(cloud.provider())


def test_no_network(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(ProviderError, match="AWS cannot be reached.*network and proxy"):
        check(cloud.provider())


@pytest.mark.parametrize(
    "told", ["<html>sign in here</html>", "192.0.2.10, 198.51.100.7", "2001:db8::17", ""]
)
def test_the_callers_address_cannot_be_found_out(cloud: Cloud, told: str) -> None:
    """It is asked for before anything is made, the security group and the key pair included."""
    cloud.emulator.set(address=told)
    with pytest.raises(NotReady, match=r"checkip.*Say who may log in with allow_from") as caught:
        cloud.cluster(2).ensure()
    assert "<html>" not in str(caught.value)
    assert cloud.emulator.left_over() == [] and not cloud.emulator.books()["keys"]
    assert not (cloud.folder / "state").exists()
    cloud.cluster(2, allow_from=["203.0.113.0/24"]).ensure()
    assert cloud.emulator.books()["groups"][0]["ssh"] == ["203.0.113.0/24"]


def test_an_error_of_aws_in_the_middle_is_one_line(cloud: Cloud) -> None:
    cloud.emulator.fault(
        "RunInstances", "error", code="InvalidParameterCombination", message="no\nsuch thing"
    )
    provider = cloud.provider()
    with pytest.raises(MusterError, match="RunInstances: InvalidParameterCombination: no such thing"):
        provider.create(order(provider))
    provider.delete(IDENTITY, [])
    assert cloud.emulator.left_over() == []


def test_the_newest_official_image_is_chosen_once(cloud: Cloud) -> None:
    provider = cloud.provider()
    provider.create(order(provider))
    assert {one["image"] for one in cloud.emulator.alive()} == {images.DEBIAN}
    cloud.emulator.fault("DescribeImages", "error", times=9, code="InternalFailure")  # not asked again for it
    again = cloud.provider()
    again.create(order(again, token="1" * 32, names=("retina-worker-3",)))
    assert {one["image"] for one in cloud.emulator.alive()} == {images.DEBIAN}


def test_an_own_image_with_everything_installed_is_preferred(cloud: Cloud) -> None:
    provider = cloud.provider()
    made = provider.create(order(provider, image="feedfeedfeedfeed"))
    assert {machine.image for machine in made} == {"feedfeedfeedfeed"}
    other = provider.create(order(provider, image="0123456789abcdef", token="1" * 32))
    assert {machine.image for machine in other} == {""}


def test_gpu_machines_boot_the_image_of_all(cloud: Cloud) -> None:
    provider = cloud.provider(groups={"gpu": {"count": 1, "instance_type": "g5.xlarge", "memory_gb": 8}})
    provider.create(order(provider, "gpu", 1))
    (one,) = cloud.emulator.alive()
    assert (one["type"], one["image"]) == ("g5.xlarge", images.DEBIAN)


def test_arm_machines_boot_an_image_of_their_own(cloud: Cloud) -> None:
    provider = cloud.provider(**worker(instance_type="t4g.small"))
    provider.create(order(provider, count=1))
    assert cloud.emulator.alive()[0]["image"] == images.DEBIAN_ARM
