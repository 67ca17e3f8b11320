"""The description of a data set that `ingest` brings in: a YAML file, its keys, and what they become."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import AfterValidator, Field, ValidationError, field_validator, model_validator

from muster_node.ingest import request
from muster_node.ingest.request import STORE
from provision.config.explain import explain
from provision.core.errors import ConfigError
from provision.core.schema import Model, wrong
from provision.core.spec import BUILT_IN

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,40}")
_NUMBERS = re.compile(r"\{(\d+)\.\.(\d+)\}")
_DIGEST = re.compile(r"[0-9a-fA-F]+")
_VARIABLE = re.compile(r"[a-z][a-z0-9_]{0,40}")
DIGITS = {"sha256": 64, "md5": 32}
"""Hex digits of a checksum."""
Digests = str | dict[str, str]


def _place(value: str) -> str:
    if value.startswith(STORE) and len(value) > len(STORE):
        return value
    _no_password(value)
    if not _remote(value) or not urlsplit(value).hostname:
        raise wrong(
            f"{value!r} is no place that nodes reach",
            f"Write an http(s) address, or {STORE}KEY for what lies in the cluster's object store",
        )
    return value


def _no_password(value: str) -> str:
    try:
        secret = "//" in value and urlsplit(value).password
    except ValueError:
        raise wrong("an address is none", "Correct it") from None
    if secret:
        raise wrong("an address has a password in it", "Take it out: descriptions hold no secrets")
    return value


class ArchiveModel(Model):
    """An archive, in one part or more: read as one, in this order."""

    parts: Annotated[list[str] | str, Field(min_length=1)]
    sha256: Digests = ""
    md5: Digests = ""

    @field_validator("parts", mode="after")
    @classmethod
    def _parts(cls, value: list[str] | str) -> list[str]:
        places = [place for each in ([value] if isinstance(value, str) else value) for place in expand(each)]
        if len(set(places)) < len(places):
            raise wrong("a part is there twice", "Take it out")
        return [_place(place) for place in places]

    @model_validator(mode="after")
    def _digests(self) -> ArchiveModel:
        known = {request.Part(place).name for place in self.parts}
        for kind, length in DIGITS.items():
            given = getattr(self, kind)
            values = [given] if isinstance(given, str) else given.values()
            if any(value and not (_DIGEST.fullmatch(value) and len(value) == length) for value in values):
                raise wrong(f"{kind} has {length} hex digits", "Correct the checksum")
            strangers = [] if isinstance(given, str) else sorted(set(given) - known)
            if strangers:
                raise wrong(f"there is no part {strangers[0]}", f"There are: {', '.join(sorted(known))}")
        return self

    def archive(self) -> request.Archive:
        """Return it as nodes get it."""
        whole = next((d for d in (self.sha256, self.md5) if isinstance(d, str) and d), "")
        each = {
            name: digest
            for given in (self.md5, self.sha256)
            if isinstance(given, dict)
            for name, digest in given.items()
        }
        parts = [request.Part(place, each.get(request.Part(place).name, "")) for place in self.parts]
        return request.Archive(tuple(parts), whole)


class UrlsModel(Model):
    """A JSON list of images' addresses: an address, or a file of this computer."""

    list: Annotated[str, AfterValidator(_no_password)]
    per_host: Annotated[int, Field(ge=1, le=64)] = 8


class ContainerModel(Model):
    """A container of another store. `keys`: the vault's variables KEYS_access_key and KEYS_secret_key."""

    kind: Literal["s3", "swift"]
    endpoint: Annotated[str, Field(pattern=r"^https?://[^\s/@]+(/[^\s@?#]*)?$")]
    container: Annotated[str, Field(min_length=3)]
    prefix: str = ""
    region: str = "us-east-1"
    keys: str

    @field_validator("keys")
    @classmethod
    def _keys(cls, value: str) -> str:
        if not _VARIABLE.fullmatch(value):
            raise wrong(f"{value!r} cannot begin a variable's name", "Use a-z, 0-9 and _")
        return value


class SourceModel(Model):
    """Where the images come from: one of these."""

    archives: list[ArchiveModel] = Field(default_factory=list)
    urls: UrlsModel | None = None
    folder: str = ""
    container: ContainerModel | None = None

    @model_validator(mode="after")
    def _one(self) -> SourceModel:
        given = [name for name in type(self).model_fields if getattr(self, name)]
        if len(given) != 1:
            raise wrong(
                f"has {' and '.join(given) or 'nothing'}", "Give one of: archives, urls, folder, container"
            )
        return self


class LabelsModel(Model):
    """The labels' file: beside the description, an address, or in the source; and its column."""

    file: Annotated[str, AfterValidator(_no_password)] = ""
    column: str = ""


class DescriptionModel(Model):
    """All keys of a description."""

    name: str
    kind: Literal["plain", "eye"] = "plain"
    source: SourceModel
    labels: LabelsModel = LabelsModel()
    multi_label: bool = False
    on_bad_labels: Literal["stop", "drop"] = "stop"
    sample: Annotated[float, Field(gt=0, le=1)] = 1.0
    seed: int = 2016
    size: Annotated[int, Field(ge=0, le=65536)] = 0
    quality: Annotated[int, Field(ge=0, le=100)] = 0

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        if not _NAME.fullmatch(value) or value in BUILT_IN:
            raise wrong(
                f"{value!r} cannot be the name of a data set",
                f"Use a-z, 0-9 and -, and none of {', '.join(BUILT_IN)}",
            )
        return value

    @model_validator(mode="after")
    def _fit(self) -> DescriptionModel:
        if self.source.folder and (self.sample < 1 or self.size or self.quality):
            raise wrong(
                "sample, size and quality are for what nodes fetch, not for a folder of this computer",
                "Take them out",
            )
        return self


def expand(place: str) -> list[str]:
    """Return the places that a pattern means: `train.zip.{001..005}` is five."""
    match = _NUMBERS.search(place)
    if not match:
        return [place]
    first, last = int(match[1]), int(match[2])
    if not 0 <= last - first < 10_000:
        raise wrong(f"{match[0]} is no range of numbers", "Write it like {001..005}")
    width = len(match[1])
    return [
        full
        for number in range(first, last + 1)
        for full in expand(f"{place[: match.start()]}{number:0{width}}{place[match.end() :]}")
    ]


def load(file: Path) -> DescriptionModel:
    """Read a description. Raises ConfigError, in one line, with the closest key for one that is unknown."""
    if file.name in ("", "."):
        remedy = "Say -e SOURCE=FILE.yml; docs/data.md has an example"
        raise ConfigError(file="ingest", what="no description of a data set was given", remedy=remedy)
    try:
        known: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(file=file, what=f"cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(file=file, what=f"is no YAML: {error}", remedy="Correct it") from error
    if not isinstance(known, dict):
        raise ConfigError(
            file=file,
            what="is no description of a data set",
            remedy="It has name: and source:; see docs/data.md",
        )
    try:
        return DescriptionModel.model_validate(known)
    except ValidationError as error:
        raise explain(error, str(file), DescriptionModel) from error


def to_request(described: DescriptionModel, *, labels_beside: bool) -> request.Request:
    """Return what nodes are asked; of a folder nothing is.

    Args:
        described: the description.
        labels_beside: whether the labels' file lies beside the description, and ships with the job.
    """
    source, file = described.source, described.labels.file
    place = file if file.startswith(("http://", "https://")) else ""
    urls, container = source.urls, source.container
    return request.Request(
        dataset=described.name,
        kind=described.kind,
        archives=tuple(each.archive() for each in source.archives),
        urls=request.UrlList(urls.list if _remote(urls.list) else "", urls.per_host) if urls else None,
        container=request.Container(
            kind=container.kind,
            endpoint=container.endpoint,
            container=container.container,
            prefix=container.prefix,
            region=container.region,
        )
        if container
        else None,
        labels=request.Labels(
            where=place,
            inside="" if place or labels_beside else file,
            column=described.labels.column,
            multi_label=described.multi_label,
            on_bad=described.on_bad_labels,
        ),
        sample=described.sample,
        seed=described.seed,
        size=described.size,
        quality=described.quality,
    )


def _remote(place: str) -> bool:
    return place.startswith(("http://", "https://"))
