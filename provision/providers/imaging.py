"""Images of one's own at a provider that makes them of machines: what is wished, what there is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from provision.core.model import Machine


class ImageState(StrEnum):
    """What becomes of an image."""

    MAKING = "making"
    READY = "ready"
    FAILED = "failed"
    LEFT = "left over"
    """Its data bills on, and nothing can be started from it any more."""


@dataclass(frozen=True)
class Wish:
    """An image that groups of a config need.

    Fields: `name` (at its provider; the same content has the same name), `recipe` (key of what is installed),
    `groups` (names of those that start from it), `place` (where it is made), `copies` (where else it is
    needed), `group` and `block` (keys of a config file for the machine that it is made of: those of its
    group, those of the provider), `tags` (what the image says of itself).
    """

    name: str
    recipe: str
    groups: tuple[str, ...]
    place: str
    copies: tuple[str, ...]
    group: Mapping[str, Any]
    block: Mapping[str, Any]
    tags: Mapping[str, str]


@dataclass(frozen=True)
class OwnImage:
    """An image as its provider reports it.

    Fields: `id` ('' = only data of it is left), `place` (where it is), `base` (what it was made from), `gb`
    (GB that are billed for at most), `monthly` (dollars, None = not known), `price` (where that figure is
    from), `created` (seconds since the epoch), `owner` (mark of the folder of states that made it), `why`
    (what its provider says of a failure).
    """

    id: str
    name: str
    place: str
    state: ImageState
    recipe: str
    base: str
    architecture: str
    gpu: bool
    gb: int
    monthly: float | None
    price: str
    created: float
    owner: str
    why: str = ""


class ImageMaker(ABC):
    """Makes, finds and removes images at one provider. Every method raises `ProviderError` or `NotReady`."""

    @abstractmethod
    def wishes(self, recipes: Mapping[str, str], places: Collection[str] = ()) -> Sequence[Wish]:
        """Return the images that groups need; those that need the same share one.

        Args:
            recipes: name of a group -> key of what its machines have installed. Groups that name an image
                themselves need none.
            places: where the images are needed besides; asked whether they are there.
        """

    @abstractmethod
    def find(self, wish: Wish, place: str) -> OwnImage | None:
        """Return the wished image as it is at a place now; None when it is not there (or not visible yet)."""

    @abstractmethod
    def capture(self, wish: Wish, machine: Machine, owner: str) -> None:
        """Begin to make the image of a machine that is off; again, or when it is there, it does nothing.

        `owner`: the mark of the folder of states that makes it.
        """

    @abstractmethod
    def copy(self, wish: Wish, source: OwnImage, place: str) -> None:
        """Begin to copy an image to another place; again it does nothing."""

    @abstractmethod
    def everything(self) -> Sequence[OwnImage]:
        """Return all images that Muster has made, whoever's, and what is left of some; the newest first."""

    @abstractmethod
    def remove(self, image: OwnImage) -> None:
        """Delete an image and its data; again it goes on."""
