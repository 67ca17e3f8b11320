"""Images of one's own: made of a builder, copied to other regions, deregistered with their snapshots.

Everything is found again by tags: image and snapshots have the same ones. An image's name is unique in its
region, and says all that decides its content; so CreateImage, which knows no client token, makes none twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from provision.core.errors import ProviderError
from provision.core.model import Machine
from provision.core.names import OWNER_LABEL
from provision.core.spec import ClusterSpec, NodeGroup
from provision.core.wait import until
from provision.providers import prices
from provision.providers.ec2 import tags
from provision.providers.ec2.client import NAME, Clients, code_of, translate_errors
from provision.providers.ec2.config import Ec2Block, Ec2Settings
from provision.providers.ec2.images import Images
from provision.providers.ec2.kinds import Kinds
from provision.providers.ec2.ledger import Ledger
from provision.providers.ec2.requests import DATA_DISK
from provision.providers.imaging import ImageMaker, ImageState, OwnImage, Wish

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

STATES = {"available": ImageState.READY, "pending": ImageState.MAKING, "transient": ImageState.MAKING}
"""All others are failures."""
MONTH_H = 730
_FREE_S = 60.0
"""Seconds until a deregistered image's name is free again, or an image that was made is listed."""
_COPIES = 5
"""Copies of one image to one place, all but the last of which were removed."""


@dataclass(frozen=True)
class Ec2Images(ImageMaker):
    """See `ImageMaker`; places are regions."""

    spec: ClusterSpec
    clients: Clients
    kinds: Kinds
    ledger: Ledger
    region_of: Callable[[NodeGroup], str]

    def wishes(self, recipes: Mapping[str, str], places: Collection[str] = ()) -> Sequence[Wish]:
        """One for each recipe, architecture and kind (GPU or not); made in its first group's region."""
        for place in places:  # a quarter of an hour before they are needed
            self.clients.identify(place)
        found: dict[tuple[str, str, bool], list[tuple[NodeGroup, str]]] = {}
        for name, recipe in recipes.items():
            group = self.spec.group(name)
            for kind in (
                [] if Ec2Settings.of(group).image else self.kinds.require(self.region_of(group), group)
            ):
                key = (recipe, kind.architecture, bool(kind.gpus))
                found.setdefault(key, []).append((group, kind.name))
        return [self._wish(*key, members, places) for key, members in found.items()]

    def find(self, wish: Wish, place: str) -> OwnImage | None:
        """See `ImageMaker`."""
        return next((image for image in self._registered(place, wish.name)), None)

    def capture(self, wish: Wish, machine: Machine, owner: str) -> None:
        """CreateImage, without a data disk: machines that start from it get empty ones."""
        client = self.clients.ec2(wish.place)
        self.ledger.remember(wish.place)
        told = {**wish.tags, f"{tags.LABEL}{OWNER_LABEL}": owner}
        with translate_errors(wish.name):
            self._once_free(
                lambda: client.create_image(
                    InstanceId=machine.provider_id.partition("/")[2],
                    Name=wish.name,
                    Description=f"Debian 13 with what Muster installs, of {wish.tags[tags.BASE]}",
                    BlockDeviceMappings=[{"DeviceName": DATA_DISK, "NoDevice": ""}],
                    TagSpecifications=_specifications(told),
                ),
                wish,
            )

    def copy(self, wish: Wish, source: OwnImage, place: str) -> None:
        """CopyImage, which makes as many of one name as it is asked for: the client token keeps it from that.

        A token's copy may have been removed since; AWS still answers with it, so the next token is for the
        next copy.
        """
        client = self.clients.ec2(place)
        self.ledger.remember(place)
        told = {**wish.tags, f"{tags.LABEL}{OWNER_LABEL}": source.owner}
        with translate_errors(wish.name):
            for number in range(_COPIES):
                client.copy_image(
                    ClientToken=hashlib.sha256(
                        f"{source.place} {source.id} {place} {number}".encode()
                    ).hexdigest(),
                    Name=wish.name,
                    SourceImageId=source.id,
                    SourceRegion=source.place,
                    Encrypted=True,
                    TagSpecifications=_specifications(told),
                )
                if until(
                    lambda: self.find(wish, place),
                    deadline_s=_FREE_S,
                    interval_s=0.5,
                    growth=1.5,
                    longest_s=10,
                ):
                    return
        raise ProviderError(
            provider=NAME,
            where=f"{wish.name} in {place}",
            what="AWS says that it copies the image, and does not list it",
            remedy="Look at the images there, then run the same command again",
        )

    def everything(self) -> Sequence[OwnImage]:
        """Images of the config's regions and of those that ever got one; and snapshots without an image."""
        own = {self.region_of(group) for group in self.spec.groups if group.provider == NAME}
        regions = sorted(own | self.ledger.regions())
        found = [image for region in regions for image in self._all(region)]
        return sorted(found, key=lambda image: -image.created)

    def remove(self, image: OwnImage) -> None:
        """Deregister, then delete the snapshots, which are found by their tag as long as there are any.

        The image is looked for first, too: who may remove what is tagged is not permitted to remove what is
        not there.
        """
        client = self.clients.ec2(image.place)
        with translate_errors(image.name):
            if any(image.id == there.id for there in self._registered(image.place, image.name)):
                _unless(lambda: client.deregister_image(ImageId=image.id), "InvalidAMIID")
            for snapshot in _snapshots(client, {tags.IMAGE: image.name}):
                own = snapshot["SnapshotId"]
                _unless(partial(client.delete_snapshot, SnapshotId=own), "InvalidSnapshot.NotFound")

    def _wish(
        self,
        recipe: str,
        architecture: str,
        gpu: bool,
        members: Sequence[tuple[NodeGroup, str]],
        places: Collection[str],
    ) -> Wish:
        group, kind = members[0]
        place = self.region_of(group)
        newest = Images(
            self.clients, Ledger(self.ledger.folder / "none")
        )  # not what a cluster has chosen once
        base = newest.choose(place, group, self.kinds.get(place, [kind])[kind], "")
        name = "-".join(
            ["muster", recipe, architecture, *(["gpu"] if gpu else []), base.id.removeprefix("ami-")]
        )
        regions = {*places, *(self.region_of(one) for one, _ in members)}
        return Wish(
            name=name,
            recipe=recipe,
            groups=tuple(dict.fromkeys(one.name for one, _ in members)),
            place=place,
            copies=tuple(sorted(regions - {place})),
            group={"instance_type": kind, "image": base.id},
            block={
                **self.spec.block(Ec2Block).model_dump(
                    mode="json", exclude_defaults=True, exclude={"instance_profile", "subnet"}
                ),
                "region": place,
                **({"subnet": list(subnet)} if (subnet := Ec2Settings.of(group).subnet) else {}),
            },
            tags={
                **self.spec.block(Ec2Block).tags,
                tags.NAME: name,
                tags.IMAGE: name,
                tags.RECIPE: recipe,
                tags.BASE: base.id,
                tags.ARCHITECTURE: architecture,
                tags.GPU: str(gpu).lower(),
            },
        )

    def _once_free(self, make: Callable[[], object], wish: Wish) -> None:
        """Make an image. A name that is taken is the same image's, or that of one just removed."""

        def made() -> bool:
            try:
                make()
            except ClientError as error:
                if code_of(error) != "InvalidAMIName.Duplicate":
                    raise
                return self.find(wish, wish.place) is not None
            return True

        if not until(made, deadline_s=_FREE_S, interval_s=1.0, growth=1.5, longest_s=10):
            raise ProviderError(
                provider=NAME,
                where=f"{wish.name} in {wish.place}",
                what="AWS says that there is an image of this name, and lists none that is yours",
                remedy="Run the same command again in a minute",
            )

    def _all(self, region: str) -> Iterator[OwnImage]:
        """Return a region's images, then what is left of some: snapshots are asked for before images are."""
        client = self.clients.ec2(region)
        with translate_errors(region):
            snapshots = _snapshots(client, {})
        images = list(self._registered(region))
        yield from images
        named = {image.name for image in images}
        left: dict[str, list[Any]] = {}
        for snapshot in snapshots:
            name = tags.from_aws(snapshot.get("Tags", []))[tags.IMAGE]
            if name not in named and snapshot["State"] != "pending":
                left.setdefault(name, []).append(snapshot)
        for name, parts in left.items():
            yield self._own(
                region,
                id="",
                state=ImageState.LEFT,
                found={**tags.from_aws(parts[0]["Tags"]), tags.IMAGE: name},
                gb=sum(part["VolumeSize"] for part in parts),
                created=parts[0]["StartTime"].timestamp(),
            )

    def _registered(self, region: str, name: str = "") -> Iterator[OwnImage]:
        client = self.clients.ec2(region)
        filters = tags.tagged({tags.IMAGE: name}) if name else tags.where(tag_key=tags.IMAGE)
        with translate_errors(region):
            answer = client.describe_images(Owners=["self"], Filters=filters)["Images"]
        for raw in answer:
            yield self._own(
                region,
                id=raw["ImageId"],
                state=STATES.get(raw["State"], ImageState.FAILED),
                found=tags.from_aws(raw.get("Tags", [])),
                gb=sum(disk.get("Ebs", {}).get("VolumeSize", 0) for disk in raw["BlockDeviceMappings"]),
                created=datetime.fromisoformat(raw["CreationDate"]).timestamp(),
                why=str(raw.get("StateReason", {}).get("Message", "")),
            )

    @staticmethod
    def _own(
        region: str,
        *,
        id: str,
        state: ImageState,
        found: Mapping[str, str],
        gb: int,
        created: float,
        why: str = "",
    ) -> OwnImage:
        price = prices.listed(NAME, "snapshot", place=region)
        return OwnImage(
            id=id,
            name=found[tags.IMAGE],
            place=region,
            state=state,
            recipe=found.get(tags.RECIPE, ""),
            base=found.get(tags.BASE, ""),
            architecture=found.get(tags.ARCHITECTURE, ""),
            gpu=found.get(tags.GPU) == "true",
            gb=gb,
            monthly=round(price.hourly * MONTH_H * gb, 2) if price else None,
            price=price.source if price else "",
            created=created,
            owner=found.get(f"{tags.LABEL}{OWNER_LABEL}", ""),
            why=why,
        )


def _specifications(told: Mapping[str, str]) -> Any:  # noqa: ANN401  (AWS's own structures)
    """Return the same tags for an image and its snapshots."""
    return [{"ResourceType": kind, "Tags": tags.to_aws(told)} for kind in ("image", "snapshot")]


def _snapshots(client: EC2Client, wanted: Mapping[str, str]) -> list[Any]:
    filters = tags.tagged(wanted) if wanted else tags.where(tag_key=tags.IMAGE)
    pages = client.get_paginator("describe_snapshots").paginate(
        OwnerIds=["self"], Filters=filters, PaginationConfig={"PageSize": 1000}
    )
    return [snapshot for page in pages for snapshot in page["Snapshots"]]


def _unless(call: Callable[[], object], gone: str) -> None:
    """Make a call that deletes something; what is gone already (errors whose code begins so) is no error."""
    try:
        call()
    except ClientError as error:
        if not code_of(error).startswith(gone):
            raise
