"""The settings that prepared sets were made with, which their manifests record, and those of now."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from muster_node import sets
from muster_node.labels.reading import DROP, STOP
from muster_node.labels.report import HARMLESS
from muster_node.sets import Manifest
from muster_node.stores.base import NotFound, Store

LEFT: Mapping[str, Any] = {"kind": "plain", "multi_label": False}
"""Settings that may be left to what ingest was told, and what they are when it was told nothing."""
ON_BAD_LABELS = "on_bad_labels"
"""Only among the settings of a user's folder: it and `multi_label` decide what is sent of its labels."""
WORDS: Mapping[str, Mapping[object, str]] = {"channels": {1: "grey", 3: "rgb"}}
"""How the config file calls what a manifest has as a number."""

Told = Callable[[], Mapping[str, Any] | None]
"""Gives what ingest was told of `LEFT`, None = nobody knows any more: `read_description`."""


class OtherSettings(Exception):
    """A set was made with other settings than those of now; the text is one line."""


def read_description(store: Store, dataset: str) -> dict[str, Any] | None:
    """Return what ingest was told, of intermediates what they are; {} = nothing. Raises StoreError.

    None: the raw data is gone, and with it what was told.
    """
    for key, inner in ((sets.description_key(dataset), ""), (sets.masters_key(dataset), "description")):
        try:
            known = dict(json.loads(store.get(key)))
        except NotFound:
            continue
        if found := dict(known.get(inner, {})) if inner else known:
            return found
    try:
        store.get_range(sets.labels_key(dataset), 0, 1)
    except NotFound:
        return None
    return {}


def settled(settings: Mapping[str, Any], told: Told) -> dict[str, Any]:
    """Return the settings with what they leave to ingest. Raises what `told` raises."""
    described = {} if all(map(settings.get, LEFT)) else told() or {}
    known = {key: settings.get(key) or described.get(key, plain) for key, plain in LEFT.items()}
    return {**settings, **known}


def differences(
    settings: Mapping[str, Any], made: Sequence[Manifest], told: Told | None
) -> dict[str, tuple[Any, Any]]:
    """Return which settings differ from those that a set was made with: key -> (then, now).

    What a set has no record of, as those of older versions, differs in nothing; nor do `masters`, which lie
    beside sets and may be wanted for the next size only. A set may have more `formats` than are asked for.

    Args:
        settings: those of now; what is not among them is not compared.
        made: the manifests of one size, the training set's last.
        told: see there; None = it cannot be asked. What is left to it is not compared when it knows nothing.

    Raises:
        StoreError: `told` did.
    """
    then = made[-1].made_by
    now = {key: value for key, value in settings.items() if key in then and key != "masters"}
    left = [key for key in LEFT if key in now and not now[key]]
    described = told() if told and left else None
    for key in left:
        if described is None:
            del now[key]
        else:
            now[key] = described.get(key, LEFT[key])
    if then.get("multi_label") and _may_have_several(made):
        now.pop("multi_label", None)  # such images make it true, whatever is asked
    found = {key: (then[key], value) for key, value in now.items() if _differ(key, then[key], value)}
    if settings.get(ON_BAD_LABELS) == STOP and made[-1].labels.get("reported", {}).keys() - HARMLESS:
        found[ON_BAD_LABELS] = (DROP, STOP)
    return found


def require_same(settings: Mapping[str, Any], made: Sequence[Manifest], told: Told | None = None) -> None:
    """Raise OtherSettings when a set differs from what would be made now, see `differences`."""
    found = differences(settings, made, told)
    if not found:
        return
    keys = ", ".join(
        f"{key}: {_word(key, then)} then, {_word(key, now)} now" for key, (then, now) in sorted(found.items())
    )
    dataset, name = made[-1].dataset, made[-1].set
    sent_anew = ON_BAD_LABELS in settings and found.keys() & {ON_BAD_LABELS, "multi_label"}
    gone = dataset if sent_anew else f"{dataset}/{name}"
    raise OtherSettings(
        f"{dataset}/{name} was made with other settings of dataset ({keys}): "
        f"./muster data rm {gone}, then main.yml, makes it anew; or set them back"
    )


def _may_have_several(made: Sequence[Manifest]) -> bool:
    """Say whether images have several labels, or may have had them that were not drawn or not readable."""
    then = made[-1].made_by
    drawn = then.get("sample", 1) < 1 or then.get("balance") == "subsample"
    return drawn or any(each.skipped or sum(each.rows_per_class.values()) > each.rows for each in made)


def _differ(key: str, then: object, now: object) -> bool:
    """Say whether a set has not what is asked for."""
    if isinstance(then, Sequence) and isinstance(now, Sequence) and key == "formats":
        return not set(now) <= set(then)
    return then != now


def _word(key: str, value: object) -> str:
    """Return a value as the config file has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return " and ".join(map(str, value))
    return WORDS.get(key, {}).get(value) or str(value) or "none"
