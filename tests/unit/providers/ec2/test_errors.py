"""Errors of EC2's API, against the lists that Amazon publishes: which exist, and whose fault each is.

From https://docs.aws.amazon.com/ec2/latest/devguide/errors-overview.html as of August 2026: all of its server errors,
and of its client errors those that Muster or the emulator name. The SDK tries server errors again by itself.
"""

from __future__ import annotations

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.retries.standard import ThrottledRetryableChecker

from provision.providers.ec2 import client, placing, requests
from tests.emulators.ec2 import wire
from tests.fakes.ec2 import Cloud

SERVER = {
    "BandwidthLimitExceeded",
    "InsufficientAddressCapacity",
    "InsufficientCapacity",
    "InsufficientHostCapacity",
    "InsufficientInstanceCapacity",
    "InsufficientReservedInstanceCapacity",
    "InsufficientVolumeCapacity",
    "InternalError",
    "InternalFailure",
    "RequestLimitExceeded",
    "ServerInternal",
    "ServiceUnavailable",
    "Unavailable",
}
CLIENT = {
    "AuthFailure",
    "DependencyViolation",
    "IdempotentParameterMismatch",
    "IncorrectInstanceState",
    "InstanceLimitExceeded",
    "InsufficientFreeAddressesInSubnet",
    "InvalidClientTokenId",
    "InvalidGroup.Duplicate",
    "InvalidGroup.NotFound",
    "InvalidInstanceID.NotFound",
    "InvalidKeyPair.Duplicate",
    "InvalidKeyPair.NotFound",
    "InvalidParameterCombination",
    "MaxSpotInstanceCountExceeded",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnauthorizedOperation",
    "Unsupported",
    "UnsupportedOperation",
}
MET = {"SpotMaxPriceTooLow", "UnfulfillableCapacity", "VcpuLimitExceeded"}
"""Not in that list, but told apart by other tools, which have met them (Karpenter, Gardener, GitHub runners)."""
OF_ALL_SERVICES = {
    "AccessDenied",
    "AccessDeniedException",
    "ExpiredToken",
    "ExpiredTokenException",
    "RequestTimeTooSkewed",
    "UnrecognizedClientException",
}
"""Of Amazon's services in general; the permissions are those of the price list and of STS, too."""


@pytest.mark.parametrize("code", sorted(SERVER | CLIENT | MET))
def test_the_emulator_answers_with_whose_fault_it_is(cloud: Cloud, code: str) -> None:
    cloud.emulator.fault("DescribeVpcs", "error", code=code)
    asked = boto3.client("ec2", config=Config(retries={"total_max_attempts": 1}))
    with pytest.raises(ClientError) as refused:
        asked.describe_vpcs()
    told = refused.value.response
    assert told["Error"]["Code"] == code
    assert told["ResponseMetadata"]["HTTPStatusCode"] // 100 == (5 if code in SERVER else 4)


def test_the_codes_that_muster_tells_apart_exist() -> None:
    of_orders = requests.CAPACITY | placing.QUOTA | placing.NEVER
    of_calls = client._NOT_YET | client._EXPIRED | client._UNKNOWN_CREDENTIALS | client._FORBIDDEN
    assert of_orders <= SERVER | CLIENT | MET
    assert of_calls <= CLIENT | OF_ALL_SERVICES
    assert set(ThrottledRetryableChecker._THROTTLED_ERROR_CODES) >= requests.THROTTLED
    assert wire.SERVER_ERRORS == SERVER


def test_refusals_by_what_is_there_are_the_callers_fault(cloud: Cloud) -> None:
    cloud.emulator.set(policy=False)
    asked = boto3.client("ec2")
    missing = f"{0:017x}"
    for call, code in (
        (lambda: asked.describe_instances(InstanceIds=[f"i-{missing}"]), "InvalidInstanceID.NotFound"),
        (lambda: asked.describe_security_groups(GroupIds=[f"sg-{missing}"]), "InvalidGroup.NotFound"),
        (lambda: asked.describe_key_pairs(KeyNames=["nobodys"]), "InvalidKeyPair.NotFound"),
    ):
        with pytest.raises(ClientError) as refused:
            call()
        assert refused.value.response["Error"]["Code"] == code in CLIENT
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
