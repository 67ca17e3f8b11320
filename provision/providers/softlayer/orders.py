"""Placing orders, which is never done blindly twice."""

from __future__ import annotations

from collections.abc import Sequence

from provision.core.errors import NoCapacity, NotReady, OutcomeUnknown, ProviderError
from provision.core.model import CreateRequest
from provision.providers.softlayer import identity
from provision.providers.softlayer.client import Api, Raw
from provision.providers.softlayer.failures import NAME, ApiError, Kind
from provision.providers.softlayer.templates import USER_DATA_LIMIT, Wish, template


def place(
    api: Api,
    request: CreateRequest,
    wish: Wish,
    names: Sequence[str],
    *,
    datacenters: Sequence[str],
    image_id: str,
    key_ids: Sequence[int],
    security_group: int | None = None,
) -> list[Raw]:
    """Order guests, all in one call, in the first datacenter that has room for all of them; return them.

    Raises:
        OutcomeUnknown: no clear answer; they may have been ordered.
        NoCapacity: no datacenter has room.
        NotReady, ApiError: refused; nothing was ordered.
    """
    _require_room_for(request.user_data)
    full: list[str] = []
    for datacenter in datacenters:
        wanted = [
            template(
                wish,
                hostname=name,
                domain=identity.domain(request.cluster.id, request.token, wish.domain),
                datacenter=datacenter,
                user_data=request.user_data,
                image_id=image_id,
                key_ids=key_ids,
                security_group=security_group,
            )
            for name in names
        ]
        try:
            made = api.call("Virtual_Guest", "createObjects", wanted, repeatable=False)
            if len(made) != len(wanted):
                raise ApiError(kind=Kind.UNCLEAR, what=f"{len(made)} of {len(wanted)} guests in the answer")
        except ApiError as error:
            if error.kind is Kind.NO_ROOM:
                full.append(f"{datacenter} ({error.what})")
                continue
            if error.kind is Kind.UNCLEAR:
                raise OutcomeUnknown(
                    provider=NAME,
                    where=", ".join(names),
                    what=f"no clear answer to the order ({error.what})",
                    remedy="Run the same command again: it looks for them before it orders anything",
                ) from error
            raise
        return [
            {**order, **guest, "datacenter": {"name": datacenter}}
            for order, guest in zip(wanted, made, strict=True)
        ]
    raise NoCapacity(
        provider=NAME,
        where=", ".join(names),
        what=f"no room in {', '.join(full)}",
        remedy="Name more datacenters under softlayer.datacenter, or try again later",
    )


def where(wanted: Wish, cluster: Sequence[Raw]) -> Sequence[str]:
    """Return the datacenters to try: first those that the cluster is in, then in the order of the config."""
    there = {str((raw.get("datacenter") or {}).get("name")) for raw in cluster}
    return sorted(wanted.datacenters, key=lambda name: name not in there)


def partly(error: NoCapacity, made: int, wanted: int) -> ProviderError:
    """Return the error for an order of which a part exists: it stays open, which NoCapacity would not say."""
    return ProviderError(
        provider=NAME,
        where=error.where,
        what=f"{error.what}; {made} of {wanted} were ordered and are kept",
        remedy=error.remedy,
    )


def _require_room_for(user_data: str) -> None:
    size = len(user_data.encode())
    if size > USER_DATA_LIMIT:
        raise NotReady(
            where="SoftLayer",
            what=f"{size} bytes for the first boot; more than {USER_DATA_LIMIT} are not taken",
            remedy="Name fewer networks under allow_from, and withdraw some with `./muster allow --only`",
        )


def image_id(api: Api, wish: Wish, recipe: str) -> str:
    """Return the image template to boot: the one asked for, else the one made from the recipe, else ''.

    Raises:
        NotReady: the one asked for does not exist.
    """
    if not wish.image and not recipe:
        return ""
    field = "globalIdentifier" if wish.image.count("-") == 4 and "*" not in wish.image else "name"
    name = wish.image or f"{identity.IMAGE_PREFIX}{recipe}"
    found = api.pages(
        "Account",
        "getPrivateBlockDeviceTemplateGroups",
        mask="mask[id,globalIdentifier,name,createDate]",
        query=identity.images(field, name),
    )
    if found:
        return str(max(found, key=lambda each: str(each.get("createDate") or ""))["globalIdentifier"])
    if wish.image:
        raise NotReady(
            where="SoftLayer",
            what=f"there is no private image {wish.image!r}",
            remedy="`slcli image list --private` shows them; leave `image` out for a plain Debian",
        )
    return ""


def key_ids(api: Api, wish: Wish) -> list[int]:
    """Return the ids of the account's SSH keys that were asked for. Raises NotReady: one does not exist."""
    if not wish.ssh_keys:
        return []
    known = {
        str(key["label"]): int(key["id"])
        for key in api.pages("Account", "getSshKeys", mask="mask[id,label]", query=identity.keys())
    }
    for label in wish.ssh_keys:
        if label not in known:
            raise NotReady(
                where="softlayer.ssh_keys",
                what=f"the account has no SSH key {label!r}",
                remedy=f"It has: {', '.join(sorted(known)) or 'none'}",
            )
    return [known[label] for label in wish.ssh_keys]
