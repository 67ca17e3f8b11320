"""The keys of an object store elsewhere: those of this computer, and those that nodes get."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from provision.core import files
from provision.core.errors import NotReady
from provision.core.spec import ClusterSpec, ObjectStoreSpec
from provision.providers.ec2.config import Ec2Block

VAULT = ("store_access_key", "store_secret_key")
"""Variables of group_vars/all/vault.yml that hold the keys (of Swift: user and key)."""
V1_ENVIRONMENT = ("ST_USER", "ST_KEY")
USER_ENVIRONMENT = ("OS_USERNAME", "OS_PASSWORD")
APPLICATION_ENVIRONMENT = ("OS_APPLICATION_CREDENTIAL_ID", "OS_APPLICATION_CREDENTIAL_SECRET")
"""What Swift's own tools read."""
FILE = "store.json"


@dataclass(frozen=True)
class StoreKeys:
    """Who asks.

    `opens`: the store elsewhere that they are for (see `door`). Lent keys end by themselves (see `lent`):
    `began` and `ends` are seconds since the epoch, `profile` the AWS tools' one that asked for them.
    """

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)
    opens: str = ""
    began: float = 0.0
    ends: float = 0.0
    profile: str = ""

    @property
    def lent(self) -> bool:
        """Whether they end by themselves."""
        return self.ends > 0


def door(store: ObjectStoreSpec) -> str:
    """Return what the keys of a store elsewhere open."""
    return f"{store.url} {store.container}"


def given_keys(store: ObjectStoreSpec, given: Mapping[str, str]) -> StoreKeys | None:
    """Return the keys in the vault's variables, None when they are not there."""
    access, secret = (given.get(name, "") for name in VAULT)
    return StoreKeys(access, secret, opens=door(store)) if access and secret else None


def own_keys(spec: ClusterSpec) -> StoreKeys:
    """Return the keys that the tools of the store's kind use on this computer; no node gets them.

    Raises:
        NotReady: there are none; the text says where they may stand.
    """
    store = spec.object_store
    if store.kind == "swift":
        access, secret = (os.environ.get(name, "") for name in _swift_environment(store))
        found = StoreKeys(access, secret) if access and secret else None
    else:
        found = _from_chain(spec.block(Ec2Block).profile)
    if found is None:
        other = "sign in with the AWS tools"
        if store.kind == "swift":
            other = f"set {' and '.join(_swift_environment(store))}"
        raise missing(store, f", or {other}")
    return found


def _swift_environment(store: ObjectStoreSpec) -> tuple[str, str]:
    """Return the environment's variables that hold user and key of a Swift store."""
    if store.auth_version == 1:
        return V1_ENVIRONMENT
    return USER_ENVIRONMENT if store.project else APPLICATION_ENVIRONMENT


def missing(store: ObjectStoreSpec, other: str = ": nodes get no others") -> NotReady:
    """Return the error that says that there are no keys, and where they may stand."""
    return NotReady(
        where=f"object store {store.url}",
        what="there are no keys for it",
        remedy=f"Put {' and '.join(VAULT)} into group_vars/all/vault.yml{other}",
    )


def record(secrets: Path, keys: StoreKeys) -> None:
    """Keep the keys that nodes get with the cluster's other secrets, readable for this user only."""
    files.write_if_changed(secrets / FILE, json.dumps(asdict(keys), sort_keys=True) + "\n")


def recorded(secrets: Path) -> StoreKeys | None:
    """Return the keys that were kept, None when there are none."""
    try:
        return StoreKeys(**json.loads((secrets / FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _from_chain(profile: str) -> StoreKeys | None:
    """Return what boto3 finds: environment, profile, the AWS tools' sign-in, this machine's own role."""
    import boto3  # slow to import, and most commands never need it
    from botocore.exceptions import BotoCoreError

    try:
        found = boto3.Session(profile_name=profile or None).get_credentials()
        frozen = found.get_frozen_credentials() if found else None
    except BotoCoreError as error:
        raise NotReady(
            where=f"AWS profile {profile}" if profile else "AWS settings",
            what=f"cannot be used: {error}",
            remedy="Correct ec2.profile or your AWS settings",
        ) from error
    if frozen is None or not frozen.access_key or not frozen.secret_key:
        return None
    return StoreKeys(frozen.access_key, frozen.secret_key, frozen.token or "")
