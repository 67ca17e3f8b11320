"""The config file's block `object_store:`."""

from __future__ import annotations

import re

from pydantic import field_validator, model_validator

from provision.core.schema import Model, wrong

STORE_KINDS = ("local", "none", "s3", "swift", "folder")
"""`local`: a machine of this computer; `folder`: a folder of it; `none`: no store; others: elsewhere."""

CREDENTIALS = ("keys", "role")
KEYSTONE = 3
AUTH_VERSIONS = (1, KEYSTONE)
_NAME = re.compile(r"[a-z]([a-z0-9-]{0,28}[a-z0-9])?")


class ObjectStoreModel(Model):
    """Where the data lives that outlives clusters. Its keys are no part of the file."""

    kind: str = "local"
    name: str = "default"
    container: str = "muster"
    endpoint: str = ""
    region: str = ""
    credentials: str = "keys"
    path: str = ""
    auth_version: int = 1
    project: str = ""
    user_domain: str = "Default"
    project_domain: str = "Default"

    @field_validator("kind")
    @classmethod
    def _kind(cls, value: str) -> str:
        if value not in STORE_KINDS:
            raise wrong(f"unknown kind of object store {value!r}", f"Known: {', '.join(STORE_KINDS)}")
        return value

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        if not _NAME.fullmatch(value):
            raise wrong(
                f"{value!r} cannot be the name of a store", "Use a-z, 0-9 and -, at most 30 characters"
            )
        return value

    @field_validator("container")
    @classmethod
    def _container(cls, value: str) -> str:
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", value):
            raise wrong(f"{value!r} cannot be a container", "Use 3 to 63 of a-z, 0-9 and -")
        return value

    @field_validator("endpoint")
    @classmethod
    def _endpoint(cls, value: str) -> str:
        if value and not re.fullmatch(r"https?://[^\s/@]+(/[^\s@?#]*)?", value):
            raise wrong(f"{value!r} is no address of a store", "Write it like https://s3.example.org")
        return value.rstrip("/")

    @field_validator("credentials")
    @classmethod
    def _credentials(cls, value: str) -> str:
        if value not in CREDENTIALS:
            raise wrong(
                f"is {value!r}", "Write `keys`, or `role` for EC2 machines whose own role may use the store"
            )
        return value

    @field_validator("auth_version")
    @classmethod
    def _auth_version(cls, value: int) -> int:
        if value not in AUTH_VERSIONS:
            raise wrong(f"is {value}", "Write 1, or 3 for Keystone")
        return value

    @model_validator(mode="after")
    def _fit(self) -> ObjectStoreModel:
        if self.kind == "swift" and not self.endpoint:
            raise wrong(
                "a Swift store needs its endpoint",
                "Give the URL of its auth service, such as https://objects.example.org/auth/v1.0",
            )
        if self.auth_version == KEYSTONE and self.kind != "swift":
            raise wrong("only a store of kind swift has an auth_version", "Leave it out")
        if self.project and self.auth_version != KEYSTONE:
            raise wrong("a project is Keystone's", "Say auth_version: 3 with it")
        if (self.kind == "folder") != bool(self.path):
            raise wrong(
                "a store of kind folder, and no other, has a path", "Say kind: folder and path: ~/data"
            )
        if self.kind in ("local", "none", "folder") and (self.endpoint or self.region):
            raise wrong(f"kind {self.kind} has no endpoint and no region", "Say kind: s3 or kind: swift")
        if self.credentials == "role" and self.kind != "s3":
            raise wrong("only a store of kind s3 can be opened by a machine's role", "Say credentials: keys")
        return self
