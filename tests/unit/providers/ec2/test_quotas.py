"""EC2: quotas are compared with what is wanted, and with what runs, before anything is ordered."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from moto.ec2.models.instance_types import INSTANCE_TYPES

from provision.config.load import load_config
from provision.core.errors import NotReady
from provision.core.model import Plan
from provision.core.paths import PROJECT
from provision.planning.plan import make_plan
from provision.providers.ec2.checks import NOT_ASKED
from provision.providers.ec2.config import Ec2Settings
from provision.providers.ec2.quotas import Need, code_for, name_of, short
from tests.fakes.ec2 import IDENTITY, Cloud, check, order

STANDARD, SPOT, GPU = "L-1216C47A", "L-34B43A08", "L-DB2E81BA"
NEW_ACCOUNT = {STANDARD: 5.0, SPOT: 5.0, GPU: 0.0, "L-3819A6DF": 0.0}


@pytest.mark.parametrize(
    ("kind", "spot", "code"),
    [
        ("m7i.large", False, STANDARD),
        ("im4gn.large", False, STANDARD),
        ("is4gen.large", True, SPOT),
        ("g5.xlarge", False, GPU),
        ("gr6.4xlarge", False, GPU),
        ("vt1.3xlarge", False, GPU),
        ("p5.48xlarge", False, "L-417A185B"),
        ("u-6tb1.metal", False, "L-43DA4232"),
        ("u-6tb1.metal", True, ""),
    ],
)
def test_each_type_counts_in_one_quota(kind: str, spot: bool, code: str) -> None:
    assert code_for(kind, spot=spot) == code


def test_every_type_of_aws_counts_in_a_quota_that_has_a_name() -> None:
    """By moto's dump of AWS's own list."""
    for kind in INSTANCE_TYPES:
        code = code_for(kind, spot=False)
        assert code.startswith("L-") and name_of(code).startswith("Running On-Demand"), kind
    assert name_of("L-3819A6DF") == "All G and VT Spot Instance Requests"


def test_what_is_short() -> None:
    master, worker = Need("master", {"a": 2}), Need("worker", {"a": 4})
    either = Need("gpu", {"a": 8, "b": 4})
    assert short([master, worker], {"a": 6}) == "" and short([master, worker], {"a": 5}) == "worker"
    assert short([master, either], {"a": 5, "b": 4}) == "" and short([either], {"a": 5, "b": 3}) == "gpu"
    assert short([either], {"b": 3}) == "" and short([master, worker], {}) == "", (
        "what is not known refuses nobody"
    )


def test_too_small_a_quota_is_one_line_before_anything_is_made(cloud: Cloud) -> None:
    cloud.emulator.set(quotas={STANDARD: 5.0})
    check(cloud.provider(), 2)
    with pytest.raises(NotReady, match=r"groups.worker: .*Standard instances \(L-1216C47A\) leaves 5 vCPUs, wanted are "
                       r"groups.master 2, groups.worker 4\. Ask for more under Service Quotas"):  # fmt: skip
        check(cloud.provider(), 3)
    assert cloud.emulator.left_over() == []


def test_a_quota_of_none_for_gpus(cloud: Cloud) -> None:
    cloud.emulator.set(quotas=NEW_ACCOUNT)
    gpu = {"gpu": {"count": 1, "instance_type": "g5.xlarge", "memory_gb": 8}}
    with pytest.raises(
        NotReady, match=r"groups.gpu: .*G and VT instances .*leaves 0 vCPUs, wanted are groups.gpu 4"
    ):
        check(cloud.provider(groups=gpu), 1)


def test_what_runs_counts_whoever_has_made_it(cloud: Cloud) -> None:
    cloud.emulator.set(quotas={STANDARD: 5.0})
    provider = cloud.provider()
    made = provider.create(order(provider, count=2))
    with pytest.raises(NotReady, match="leaves 1 vCPUs"):
        check(cloud.provider(), 1)
    provider.stop(IDENTITY, made)
    check(cloud.provider(), 1)
    stopped = provider.list(IDENTITY)
    plan = make_plan(provider.spec.sized(3), stopped)
    with pytest.raises(NotReady, match=r"retina-worker-2 2"):
        provider.check_ready(provider.spec, plan)


def test_a_quota_that_may_not_be_asked_for_is_said_and_refuses_nobody(cloud: Cloud) -> None:
    cloud.emulator.set(denied=["servicequotas:GetServiceQuota"])
    cluster = cloud.cluster(2)
    said = cluster.view.ready(cluster.view.plan())
    assert said == [
        "ec2: the quota of Running On-Demand Standard instances in eu-west-1 could not be asked for (AccessDeniedException)",
        NOT_ASKED,
    ]
    cluster.ensure()
    cloud.settled(2)
    cluster.destroy()


def test_what_could_not_be_asked_for_is_said_before_a_mere_start_too(cloud: Cloud) -> None:
    provider = cloud.provider()
    provider.stop(IDENTITY, provider.create(order(provider)))
    cloud.emulator.set(denied=["servicequotas:GetServiceQuota"])
    plan = Plan(start=tuple(provider.list(IDENTITY)))
    unknown, room = provider.check_ready(provider.spec, plan)
    assert "could not be asked for" in unknown and room == NOT_ASKED


def test_the_first_cluster_of_the_docs_fits_a_new_account() -> None:
    """5 vCPUs of standard types are what a new account may run."""
    path = PROJECT / "inventories" / "ec2.yml"
    cores = sum(
        len(names)
        * max(
            INSTANCE_TYPES[kind]["VCpuInfo"]["DefaultVCpus"] for kind in Ec2Settings.of(group).instance_type
        )
        for group, names in make_plan(load_config(path), []).create
    )
    assert 0 < cores <= 5
    for page in ("README.md", "docs/ec2.md"):
        for line in (PROJECT / page).read_text(encoding="utf-8").splitlines():
            assert not ("inventories/ec2.yml" in line and "NUM_NODES" in line), (page, line)
    groups: dict[str, Any] = yaml.safe_load(path.read_text())["groups"]
    assert groups["gpu"]["count"] == 0
