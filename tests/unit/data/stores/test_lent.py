"""What nodes get: never the user's own keys. Requests are checked by botocore's own stub."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from provision.cluster.store import StoreLink
from provision.core.errors import NotReady
from provision.core.spec import ClusterSpec, ObjectStoreSpec
from provision.data.stores.keys import StoreKeys, recorded
from provision.data.stores.lent import keys_for_nodes, policy
from provision.state.folder import State
from tests.fakes.provider import spec

AMAZON = ObjectStoreSpec(kind="s3", container="pond-data", region="eu-west-1")
VAULT = {"store_access_key": "vault", "store_secret_key": "v"}
OWN = "personal-admin-secret"


def of(store: ObjectStoreSpec = AMAZON) -> ClusterSpec:
    return replace(spec(), object_store=store)


@pytest.fixture
def sts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Stubber]:
    """Amazon, asked with keys of a user."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", OWN)
    client: Any = boto3.client("sts", region_name="eu-west-1")
    asked: list[str] = []

    def made(_: boto3.Session, service: str, region_name: str) -> Any:
        asked.append(f"{service} {region_name}")
        return client

    monkeypatch.setattr(boto3.Session, "client", made)
    with Stubber(client) as stubber:
        yield stubber
    assert set(asked) <= {"sts eu-west-1"}


def credentials(number: int = 1, seconds: float = 36 * 3600) -> dict[str, Any]:
    return {
        "AccessKeyId": f"ASIAEXAMPLE00000{number}",
        "SecretAccessKey": "short",
        "SessionToken": "token",
        "Expiration": datetime.fromtimestamp(time.time() + seconds, UTC),
    }


def federates(sts: Stubber, number: int = 1) -> None:
    asked = {"Name": "muster-retina", "DurationSeconds": 129600, "Policy": policy("pond-data")}
    sts.add_response("get_federation_token", {"Credentials": credentials(number)}, asked)


def test_the_keys_of_a_user_ask_for_ones_that_end(sts: Stubber) -> None:
    federates(sts)
    keys = keys_for_nodes(of(), {})
    assert (keys.access_key, keys.session_token, keys.lent) == ("ASIAEXAMPLE000001", "token", True)
    assert keys.ends - time.time() == pytest.approx(36 * 3600, abs=30)
    assert OWN not in json.dumps(vars(keys))
    sts.assert_no_pending_responses()


def test_the_keys_of_a_role_ask_for_the_role_once_more(sts: Stubber, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of a role")
    who = {"UserId": "AROAEXAMPLE000000:me", "Account": "123456789012"}
    sts.add_response(
        "get_caller_identity", {**who, "Arn": "arn:aws-cn:sts::123456789012:assumed-role/team/me@example.org"}, {}
    )  # fmt: skip
    asked = {
        "RoleArn": "arn:aws-cn:iam::123456789012:role/team", "RoleSessionName": "muster-retina",
        "DurationSeconds": 3600, "Policy": policy("pond-data"),
    }  # fmt: skip
    sts.add_response("assume_role", {"Credentials": credentials(2, 3600)}, asked)
    assert keys_for_nodes(of(), {}).access_key == "ASIAEXAMPLE000002"


def test_the_session_policy_is_for_the_bucket_and_deletes_nothing() -> None:
    known = json.loads(policy("pond-data", "aws-us-gov"))
    assert [(each["Action"], each["Resource"]) for each in known["Statement"]] == [
        ("s3:ListBucket", "arn:aws-us-gov:s3:::pond-data"),
        (["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"], "arn:aws-us-gov:s3:::pond-data/*"),
    ]
    assert all(each["Effect"] == "Allow" for each in known["Statement"])


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:iam::123456789012:user/katie",  # a session with a second factor
        "arn:aws:sts::123456789012:federated-user/katie",
        "arn:aws:iam::123456789012:root",
    ],
)
def test_what_cannot_be_lent_is_refused_in_one_line(
    arn: str, sts: Stubber, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "t")
    sts.add_response("get_caller_identity", {"UserId": "x", "Account": "123456789012", "Arn": arn}, {})
    with pytest.raises(
        NotReady, match="nodes never get your own keys, .*vault.yml, or say .*: role"
    ) as caught:
        keys_for_nodes(of(), {})
    assert "\n" not in str(caught.value) and OWN not in str(caught.value)


def test_who_may_not_ask_is_told_what_to_do(sts: Stubber) -> None:
    sts.add_client_error("get_federation_token", "AccessDenied", "not authorized", 403)
    with pytest.raises(NotReady, match=r"cannot be had .*AccessDenied.*Allow sts:GetFederationToken, or put"):
        keys_for_nodes(of(), {})


@pytest.mark.parametrize(
    "store",
    [
        ObjectStoreSpec(kind="s3", container="x", endpoint="https://s3.example.org"),
        ObjectStoreSpec(kind="s3", container="x", endpoint="https://s3.amazonaws.com.example.org"),
        ObjectStoreSpec(kind="swift", container="x", endpoint="https://x/auth/v1.0"),
    ],
)
def test_elsewhere_nodes_get_what_the_vault_has(
    store: ObjectStoreSpec, sts: Stubber, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ST_USER", "me")
    monkeypatch.setenv("ST_KEY", OWN)
    with pytest.raises(
        NotReady, match=r"there are no keys for it\. Put store_access_key .*: nodes get no others"
    ):
        keys_for_nodes(of(store), {})
    assert keys_for_nodes(of(store), VAULT).access_key == "vault"
    kept = keys_for_nodes(of(store), VAULT)
    assert keys_for_nodes(of(store), {}, kept) == kept, "they were given for this store before"
    with pytest.raises(NotReady):
        keys_for_nodes(of(store), {}, replace(kept, opens="another"))


def test_the_vault_wins(sts: Stubber) -> None:
    kept = StoreKeys("ASIA", "s", "t", opens="x", ends=1e12)
    assert keys_for_nodes(of(), VAULT, kept).access_key == "vault"


def test_they_are_renewed_in_the_second_half_of_their_time(
    sts: Stubber, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a second main.yml changes nothing, and one in time keeps the nodes going."""
    state, stores = State(tmp_path / "pond"), StoreLink(lambda _: "")
    state.secrets.mkdir(parents=True)
    federates(sts)
    ends = stores.renew(of(), state)
    assert ends == pytest.approx(time.time() + 36 * 3600, abs=30)
    assert OWN not in (state.secrets / "store.json").read_text()
    assert stores.renew(of(), state) == ends
    sts.assert_no_pending_responses()
    kept = recorded(state.secrets)
    assert kept is not None
    now = time.time() + 20 * 3600
    monkeypatch.setattr(time, "time", lambda: now)
    federates(sts, 2)
    stores.renew(of(), state)
    assert recorded(state.secrets) != kept
    sts.assert_no_pending_responses()
    other = replace(AMAZON, container="other")
    sts.add_response("get_federation_token", {"Credentials": credentials(3)},
                     {"Name": ANY, "DurationSeconds": ANY, "Policy": policy("other")})  # fmt: skip
    stores.renew(of(other), state)
    sts.assert_no_pending_responses()
