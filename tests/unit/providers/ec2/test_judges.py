"""EC2: what others wrote judges code and emulator: botocore's models, moto's dump of AWS's types.

botocore checks each call by itself; each answer of each test is checked, too (tests/emulators/ec2/judge.py).
"""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
import yaml
from botocore.exceptions import ParamValidationError
from moto.ec2.models.instance_types import INSTANCE_TYPES

from provision.providers import prices
from tests.emulators.ec2 import judge
from tests.fakes.ec2 import Cloud

PICTURE = (
    "<DescribeInstancesResponse><reservationSet><item><instancesSet><item><instanceState><name>{state}</name>"
    "</instanceState>{more}</item></instancesSet></item></reservationSet></DescribeInstancesResponse>"
)


def judged(state: str = "running", more: str = "", parsed: dict[str, Any] | None = None) -> list[str]:
    model = boto3.client("ec2").meta.service_model.operation_model("DescribeInstances")
    told = parsed or {"Reservations": [{"Instances": [{"State": {"Name": state}}]}]}
    answer = SimpleNamespace(status_code=200, content=PICTURE.format(state=state, more=more).encode())
    return judge.complaints(model, answer, told)


def test_an_answer_that_aws_would_not_give_is_found(cloud: Cloud) -> None:
    assert judged() == []
    assert judged(state="asleep") == ["DescribeInstances: 'asleep' is no InstanceStateName"]
    assert judged(more="<mood>fine</mood>") == ["DescribeInstances: no element mood in Instance"]
    with pytest.raises(ParamValidationError, match="AmiLaunchIndex"):
        judged(parsed={"Reservations": [{"Instances": [{"AmiLaunchIndex": "first"}]}]})


def test_every_type_with_a_price_is_one_that_aws_has() -> None:
    listed = yaml.safe_load(prices.TABLE.read_text(encoding="utf-8"))["ec2"]["hourly"]
    named = {kind for place in listed.values() for kind in place} - {"gp3", "snapshot"}
    assert named and named <= set(INSTANCE_TYPES)
    assert all(re.fullmatch(r"[a-z]{2}-[a-z]+-[1-9]", place) for place in listed)
