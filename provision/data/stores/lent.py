"""The keys that nodes get: those that were put into the vault for them, else keys lent by Amazon.

Lent keys end by themselves and open one bucket. A user's keys ask for a federation token, those of a role for
the role once more; either way a session policy leaves what reading and writing that bucket takes.
"""

from __future__ import annotations

import json
import time
import urllib.parse
from collections.abc import Mapping
from typing import Any

from provision.core.errors import NotReady
from provision.core.spec import ClusterSpec, ObjectStoreSpec
from provision.data.stores.keys import VAULT, StoreKeys, door, given_keys, missing
from provision.providers.ec2.config import Ec2Block

USER_S, ROLE_S = 36 * 3600, 3600
"""How long they open it: what Amazon allows at most, for a user and for a role that takes itself on again."""
NAME = 32
"""Letters that a federation token's name may have."""
AMAZON = (".amazonaws.com", ".amazonaws.com.cn")


def keys_for_nodes(spec: ClusterSpec, given: Mapping[str, str], kept: StoreKeys | None = None) -> StoreKeys:
    """Return the keys of a store elsewhere that may lie on nodes.

    Args:
        spec: the cluster's config.
        given: the vault's variables.
        kept: what nodes got last; it stays while nothing else is given and it lasts.

    Raises:
        NotReady: there are none; the text says where they may stand.
    """
    store, profile = spec.object_store, spec.block(Ec2Block).profile
    if found := given_keys(store, given):
        return found
    if kept is not None and _lasts(kept, store, profile):
        return kept
    if not at_amazon(store):
        raise missing(store)
    return lend(store, profile, spec.name)


def _lasts(kept: StoreKeys, store: ObjectStoreSpec, profile: str) -> bool:
    """Say whether keys need no renewal: they do not end, or are in the first half of their time."""
    now = time.time()
    fresh = kept.profile == profile and kept.ends - now > now - kept.began
    return kept.opens == door(store) and (fresh or not kept.lent)


def at_amazon(store: ObjectStoreSpec) -> bool:
    """Say whether a store is Amazon's own S3, whose keys can be lent."""
    return store.kind == "s3" and (urllib.parse.urlsplit(store.url).hostname or "").endswith(AMAZON)


def lend(store: ObjectStoreSpec, profile: str, name: str) -> StoreKeys:
    """Return new keys for a store's bucket, asked for with the AWS tools' own.

    Args:
        store: Amazon's.
        profile: which of the AWS tools' profiles asks; '' = the one that they use.
        name: of the cluster, for Amazon's records.

    Raises:
        NotReady: Amazon does not lend any; the text says what to do.
    """
    import boto3  # slow to import, and most commands never need it
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    began = time.time()
    try:
        session = boto3.Session(profile_name=profile or None)
        found = session.get_credentials()
        if found is None:
            raise missing(store, ", or sign in with the AWS tools")
        sts: Any = session.client("sts", region_name=store.region)
        scope = policy(store.container, session.get_partition_for_region(store.region))
        if found.get_frozen_credentials().token:
            answer = sts.assume_role(
                RoleArn=_role(store, sts.get_caller_identity()["Arn"]),
                RoleSessionName=f"muster-{name}",
                DurationSeconds=ROLE_S,
                Policy=scope,
            )
        else:
            answer = sts.get_federation_token(
                Name=f"muster-{name}"[:NAME], DurationSeconds=USER_S, Policy=scope
            )
    except (BotoCoreError, ClientError, ResponseParserError) as error:
        raise _refused(store, str(error)) from error
    known = answer["Credentials"]
    return StoreKeys(
        access_key=known["AccessKeyId"],
        secret_key=known["SecretAccessKey"],
        session_token=known["SessionToken"],
        opens=door(store),
        began=began,
        ends=known["Expiration"].timestamp(),
        profile=profile,
    )


def _role(store: ObjectStoreSpec, caller: str) -> str:
    """Return the ARN of the role whose keys ask. Raises NotReady: they are no role's."""
    _, partition, _, _, account, who = caller.split(":", 5)
    kind, _, role = who.partition("/")
    if kind != "assumed-role":
        raise _refused(store, f"the keys of {who} end by themselves, and such lend none")
    return f"arn:{partition}:iam::{account}:role/{role.partition('/')[0]}"


def policy(bucket: str, partition: str = "aws") -> str:
    """Return the session policy: what nodes do with a bucket, and nothing else. They delete nothing."""
    arn = f"arn:{partition}:s3:::{bucket}"
    objects = ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"]
    allowed = [
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": arn},
        {"Effect": "Allow", "Action": objects, "Resource": f"{arn}/*"},
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": allowed}, separators=(",", ":"))


def _refused(store: ObjectStoreSpec, why: str) -> NotReady:
    return NotReady(
        where=f"object store {store.url}, container {store.container}",
        what=f"nodes never get your own keys, and short-lived ones for it cannot be had ({why})",
        remedy=f"Allow sts:GetFederationToken, or put keys for this bucket alone ({' and '.join(VAULT)}) "
        "into group_vars/all/vault.yml, or say object_store.credentials: role",
    )
