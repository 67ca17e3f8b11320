"""Lists of images' addresses with annotations, as JSON: two shapes are known."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from muster_node import sets
from muster_node.ingest.members import clean, refusal
from muster_node.ingest.request import BadSource

SHAPES = (
    '[{"url": …, "labels": […]}] or {"images": [{"image_id": …, "url": …}], '
    '"annotations": [{"image_id": …, "label_id": …}]}'
)


@dataclass(frozen=True)
class Listed:
    """An image of a list: its name (without suffix), where it may be fetched, its labels ('' = none)."""

    name: str
    urls: tuple[str, ...]
    label: str = ""


def parse(content: bytes, where: str, *, multi_label: bool) -> list[Listed]:
    """Return the images of a list. Raises BadSource.

    Args:
        content: the file.
        where: its name, for messages.
        multi_label: whether an image may have several labels.
    """
    try:
        known: Any = json.loads(content)
        rows = _competition(known) if isinstance(known, dict) else _plain(known)
    except (ValueError, RecursionError) as error:
        raise BadSource(f"{where} is no JSON ({error})") from error
    except (LookupError, TypeError, AttributeError) as error:
        raise BadSource(f"{where} has another shape than {SHAPES}") from error
    if not rows:
        raise BadSource(f"{where} lists no images")
    counts = Counter(clean(name) or name for name, _, _ in rows)
    if (most := counts.most_common(1)[0])[1] > 1:
        raise BadSource(f"{where} has {most[0]} {most[1]} times")
    found = []
    for name, urls, labels in rows:
        if refusal(name) or not urls:
            raise BadSource(f"{where}: {name!r} has no address, or is no name of an image")
        if len(labels) > 1 and not multi_label:
            raise BadSource(f"{where}: {name} has {len(labels)} labels; say multi_label: true")
        if odd := next((label for label in labels if sets.LABEL_SEPARATOR in label), ""):
            raise BadSource(f"{where}: {name} has a label with {sets.LABEL_SEPARATOR} in it: {odd}")
        found.append(Listed(clean(name), tuple(urls), sets.join_labels(labels)))
    return found


def _plain(known: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[str], list[str]]]:
    names = [str(each.get("id", each.get("image_id", ""))) for each in known]
    if not all(names):
        names = [_stem(_texts(each["url"])[0]) for each in known]
        if len(set(names)) < len(names) or not all(names):
            width = len(str(len(names)))
            names = [f"{number:0{width}}" for number in range(1, len(names) + 1)]
    return [
        (name, _texts(each["url"]), _texts(each.get("labels", each.get("label", []))))
        for name, each in zip(names, known, strict=True)
    ]


def _competition(known: Mapping[str, Any]) -> list[tuple[str, list[str], list[str]]]:
    labels: dict[str, list[str]] = {}
    for each in known.get("annotations") or []:
        labels.setdefault(str(each["image_id"]), []).extend(_texts(each["label_id"]))
    return [
        (
            str(each["image_id"]),
            _texts(each["url"]),
            list(dict.fromkeys(labels.get(str(each["image_id"]), []))),
        )
        for each in known["images"]
    ]


def _texts(value: Any) -> list[str]:  # noqa: ANN401  whatever the file holds
    if isinstance(value, list):
        return [str(each) for each in value if each not in (None, "")]
    return [] if value in (None, "") else [str(value)]


def _stem(url: str) -> str:
    """Return the name of an address's file without its suffix."""
    try:
        return PurePosixPath(unquote(urlsplit(url).path)).stem
    except ValueError:  # this one will be said not to come
        return ""
