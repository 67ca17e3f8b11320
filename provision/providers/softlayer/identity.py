"""Whose a guest is, from the moment it is ordered.

Tags and notes can be given only to guests that exist, so what must never be lost stands in the name:
`retina-worker-1.mu-<cluster id>-<token of the create call>.<domain>`. It is kept short: with the kernel a
host's name has 64 characters at most.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from SoftLayer import utils

TAG = "muster"
DEFAULT_DOMAIN = "muster.internal"
IMAGE_PREFIX = "muster-"
"""An image template of this name and a recipe's key holds what the recipe installs."""
NOTES_LIMIT = 1000

_CLUSTER_TAG, _GROUP_TAG = "muster-cluster:", "muster-group:"
_NONCE = re.compile(r"mu-([0-9a-f]{8})-([0-9a-z]+)(?:\.|$)")
_NOTE = re.compile(r"^muster: (\{.*\})$", re.MULTILINE)


def domain(cluster_id: str, token: str, suffix: str) -> str:
    """Return the domain of the guests of one create call."""
    return f"mu-{cluster_id}-{token}.{suffix or DEFAULT_DOMAIN}"


def nonce(guest_domain: str) -> tuple[str, str]:
    """Return cluster id and token from a guest's domain; ('', '') when it is not of this toolkit."""
    match = _NONCE.match(guest_domain)
    return (match[1], match[2]) if match else ("", "")


def query(cluster_id: str = "", hostname: str = "") -> dict[str, Any]:
    """Return the filter for the guests of a cluster (or of all), in the order of their ids."""
    beginning = f"mu-{cluster_id}-" if cluster_id else "mu-"
    wanted: dict[str, Any] = {
        "domain": utils.query_filter(f"^= {beginning}"),
        "id": utils.query_filter_orderby(),
    }
    if hostname:
        wanted["hostname"] = utils.query_filter(f"^= {hostname}")
    return {"virtualGuests": wanted}


def images(field: str, value: str) -> dict[str, Any]:
    """Return the filter for private image templates by a field; `*` stands for anything at either end."""
    wanted = {field: utils.query_filter(value), "id": utils.query_filter_orderby()}
    return {"privateBlockDeviceTemplateGroups": wanted}


def security_groups(name: str) -> dict[str, Any]:
    """Return the filter for the account's security groups of a name."""
    return {"securityGroups": {"name": utils.query_filter(name), "id": utils.query_filter_orderby()}}


def keys() -> dict[str, Any]:
    """Return the filter for the account's SSH keys: all, in the order of their ids."""
    return {"sshKeys": {"id": utils.query_filter_orderby()}}


def tags(cluster: str, group: str, more: Sequence[str]) -> str:
    """Return the tags of a group's guests, as the API takes them."""
    return ",".join(dict.fromkeys([TAG, f"{_CLUSTER_TAG}{cluster}", f"{_GROUP_TAG}{group}", *more]))


def owner(hostname: str, known: Iterable[str], cluster: str = "") -> tuple[str, str]:
    """Return cluster and group from a guest's tags, else from its name; `cluster`: the name when known."""
    found = {"": "", _CLUSTER_TAG: "", _GROUP_TAG: ""}
    for tag in known:
        for prefix in (_CLUSTER_TAG, _GROUP_TAG):
            if tag.startswith(prefix):
                found[prefix] = tag.removeprefix(prefix)
    if found[_CLUSTER_TAG] and found[_GROUP_TAG]:
        return found[_CLUSTER_TAG], found[_GROUP_TAG]
    stem = re.sub(r"-[0-9]+$", "", hostname)
    if cluster and stem.startswith(f"{cluster}-"):
        return cluster, stem.removeprefix(f"{cluster}-")
    cluster, _, group = stem.rpartition("-")
    return cluster, group


def labels(notes: str) -> dict[str, str]:
    """Return the labels that lie in a guest's notes, whatever a person has written around them."""
    match = _NOTE.search(notes)
    try:
        found = json.loads(match[1]) if match else {}
    except ValueError:
        return {}
    return {str(key): str(value) for key, value in found.items()}


def notes(old: str, more: Mapping[str, str]) -> str:
    """Return a guest's notes with labels added; what a person wrote stays. Raises ValueError: too long."""
    text = f"muster: {json.dumps(labels(old) | dict(more), sort_keys=True)}"
    whole = _NOTE.sub(lambda _: text, old, count=1) if _NOTE.search(old) else f"{old}\n{text}".lstrip()
    if len(whole) > NOTES_LIMIT:
        raise ValueError(f"notes of {len(whole)} characters; the API takes {NOTES_LIMIT}")
    return whole
