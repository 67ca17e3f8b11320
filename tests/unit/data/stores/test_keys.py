"""Keys of stores elsewhere: those of this computer stay here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from provision.core.errors import NotReady
from provision.core.spec import ClusterSpec, ObjectStoreSpec
from provision.data.stores import open as open_module
from provision.data.stores.keys import StoreKeys, given_keys, own_keys, record, recorded
from provision.data.stores.open import open_store
from provision.state.folder import State
from tests.fakes.provider import spec

AMAZON = ObjectStoreSpec(kind="s3", container="pond", region="eu-west-1")
SWIFT = ObjectStoreSpec(kind="swift", container="pond", endpoint="https://x/auth/v1.0")
VAULT = {"store_access_key": "vault", "store_secret_key": "v"}


def of(store: ObjectStoreSpec) -> ClusterSpec:
    return replace(spec(), object_store=store)


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No keys of any kind on this computer."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "ST_USER", "ST_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return tmp_path


def test_keys_of_the_vault_are_kept_for_this_user_alone(nobody: Path) -> None:
    keys = given_keys(AMAZON, VAULT)
    assert keys is not None and (keys.access_key, keys.lent) == ("vault", False)
    assert "v'" not in repr(keys), "secrets stay out of logs"
    record(nobody, keys)
    assert recorded(nobody) == keys
    assert (nobody / "store.json").stat().st_mode & 0o777 == 0o600
    assert given_keys(AMAZON, {"store_access_key": "only"}) is None


def test_keys_that_an_older_version_kept_are_none(nobody: Path) -> None:
    """They may be those of the AWS tools, which it gave to nodes."""
    (nobody / "store.json").write_text('{"access_key": "AKIA", "secret_key": "s", "chain": true}')
    assert recorded(nobody) is None


def test_no_keys_says_where_they_may_stand(nobody: Path) -> None:
    words = r"https://s3\.eu-west-1\.amazonaws\.com: there are no keys .*vault\.yml, or sign in with the AWS"
    with pytest.raises(NotReady, match=words):
        own_keys(of(AMAZON))
    with pytest.raises(NotReady, match="or set ST_USER and ST_KEY"):
        own_keys(of(SWIFT))


@pytest.mark.parametrize("store", [AMAZON, SWIFT])
def test_who_works_here_asks_with_keys_of_their_own(
    store: ObjectStoreSpec, nobody: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What nodes are lent deletes nothing; the vault's keys are the same on both sides."""
    asked: list[StoreKeys] = []
    monkeypatch.setattr(open_module, "connect", lambda _, keys: asked.append(keys))
    for name in ("AWS_ACCESS_KEY_ID", "ST_USER", "AWS_SECRET_ACCESS_KEY", "ST_KEY"):
        monkeypatch.setenv(name, "own")
    state = State(nobody / "pond")
    state.secrets.mkdir(parents=True)
    for kept in (None, StoreKeys("lent", "l", "t", ends=1e12), given_keys(store, VAULT)):
        if kept is not None:
            record(state.secrets, kept)
        with open_store(of(store), state):
            pass
    assert [keys.access_key for keys in asked] == ["own", "own", "vault"]
