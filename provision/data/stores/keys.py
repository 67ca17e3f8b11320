"""The keys of an object store elsewhere: from the vault, else from the tools of its kind on this computer."""

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
SWIFT_ENVIRONMENT = ("ST_USER", "ST_KEY")
FILE = "store.json"


@dataclass(frozen=True)
class StoreKeys:
    """Who asks. `chain`: they come from the AWS tools' own settings (of `profile`), and may end soon."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)
    chain: bool = False
    profile: str = ""


def obtain(spec: ClusterSpec, given: Mapping[str, str]) -> StoreKeys:
    """Return the keys of the config's store. `given` are the vault's variables.

    Raises:
        NotReady: there are none; the text says where they may stand.
    """
    store = spec.object_store
    access, secret = (given.get(name, "") for name in VAULT)
    if access and secret:
        return StoreKeys(access, secret)
    if store.kind == "swift":
        access, secret = (os.environ.get(name, "") for name in SWIFT_ENVIRONMENT)
        found = StoreKeys(access, secret) if access and secret else None
    else:
        found = _from_chain(spec.block(Ec2Block).profile)
    if found is None:
        raise missing(store)
    return found


def missing(store: ObjectStoreSpec) -> NotReady:
    """Return the error that says that there are no keys, and where they may stand."""
    other = "set ST_USER and ST_KEY" if store.kind == "swift" else "sign in with the AWS tools"
    return NotReady(
        where=f"object store {store.url}",
        what="there are no keys for it",
        remedy=f"Put {' and '.join(VAULT)} into group_vars/all/vault.yml, or {other}",
    )


def record(secrets: Path, keys: StoreKeys) -> None:
    """Keep the keys with the cluster's other secrets, readable for this user only."""
    files.write_if_changed(secrets / FILE, json.dumps(asdict(keys), sort_keys=True) + "\n")


def recorded(secrets: Path) -> StoreKeys | None:
    """Return the keys that were kept, renewed where they may have ended; None when there are none."""
    try:
        kept = StoreKeys(**json.loads((secrets / FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return (_from_chain(kept.profile) or kept) if kept.chain else kept


def _from_chain(profile: str) -> StoreKeys | None:
    """Return what boto3 finds: environment, profile, the AWS tools' sign-in, this machine's own role."""
    import boto3  # slow to import, and most commands never need it
    from botocore.exceptions import BotoCoreError

    try:
        found = boto3.Session(profile_name=profile or None).get_credentials()
    except BotoCoreError as error:
        raise NotReady(
            where=f"AWS profile {profile}" if profile else "AWS settings",
            what=f"cannot be used: {error}",
            remedy="Correct ec2.profile or your AWS settings",
        ) from error
    frozen = found.get_frozen_credentials() if found else None
    if frozen is None or not frozen.access_key or not frozen.secret_key:
        return None
    return StoreKeys(frozen.access_key, frozen.secret_key, frozen.token or "", chain=True, profile=profile)
