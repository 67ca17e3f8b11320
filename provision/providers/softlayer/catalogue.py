"""What the account is offered and at what price, asked once a command: both answers take the API a while."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from provision.core.errors import NotReady
from provision.core.spec import NodeGroup
from provision.providers.softlayer import identity, offers, orders, pricing
from provision.providers.softlayer.client import Api
from provision.providers.softlayer.failures import ApiError, Kind
from provision.providers.softlayer.pricing import Quote
from provision.providers.softlayer.templates import Wish, template, wish


class Catalogue:
    """The account's options and prices. `file`: the config file's name, for what is told of it."""

    def __init__(self, api: Api, file: str) -> None:
        self._api = api
        self._file = file
        self._quotes: dict[str, Quote | None] = {}

    def settled(self, group: NodeGroup) -> Wish:
        """Return a group's wish without choices; the API is asked only where there are some.

        Raises:
            NotReady: nothing that is offered will do.
            ApiError: the API does not answer.
        """
        wanted = wish(group)
        if (wanted.os or wanted.image) and (wanted.flavor or wanted.literal):
            return wanted
        return offers.choose(wanted, self._options, self._where(group))

    def require(self, group: NodeGroup, wanted: Wish) -> list[str]:
        """Raise NotReady when such machines are not offered, or their order would be refused.

        Returns:
            what could not be asked for, one line each.
        """
        offers.require(wanted, group, self._options, self._file)
        try:
            found = self.quote(wanted)
        except ApiError as error:
            if error.kind is Kind.REFUSED:
                raise NotReady(
                    where=self._where(group),
                    what=f"SoftLayer would refuse the order: {error.what}",
                    remedy=error.remedy or "Change the group, or ask IBM's support",
                ) from error
            return [f"softlayer: groups.{group.name}: the order could not be verified ({error.what})"]
        if found is None:
            return [
                f"softlayer: groups.{group.name}: the price has none of its processors, and is not believed"
            ]
        return []

    def quote(self, wanted: Wish) -> Quote | None:
        """Return what a guest costs, in the first datacenter that takes it. Raises NotReady, ApiError."""
        key = repr(wanted)
        refusal: ApiError | None = None
        image = orders.image_id(self._api, wanted, "")
        for datacenter in wanted.datacenters or ("",):
            if key in self._quotes:
                break
            domain = wanted.domain or identity.DEFAULT_DOMAIN
            guest = template(wanted, hostname="price", domain=domain, datacenter=datacenter, image_id=image)
            try:
                self._quotes[key] = pricing.quote(self._api, guest, hourly=wanted.hourly)
            except ApiError as error:
                if error.kind not in (Kind.REFUSED, Kind.NO_ROOM):
                    raise
                refusal = refusal or error
        if key not in self._quotes and refusal:
            raise refusal
        return self._quotes[key]

    @cached_property
    def _options(self) -> dict[str, Any]:
        found: dict[str, Any] = self._api.call("Virtual_Guest", "getCreateObjectOptions")
        return found

    def _where(self, group: NodeGroup) -> str:
        return f"{self._file}: groups.{group.name}"
