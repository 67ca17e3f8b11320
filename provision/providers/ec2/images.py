"""Machine images: own ones that have everything installed, else the newest of a pattern, chosen once."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from provision.core.errors import NotReady
from provision.core.spec import NodeGroup
from provision.providers.ec2 import systems, tags
from provision.providers.ec2.client import Clients, code_of, translate, translate_errors
from provision.providers.ec2.config import Ec2Settings
from provision.providers.ec2.kinds import Kind
from provision.providers.ec2.ledger import Ledger

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

DEBIAN = ("136693071363", {"x86_64": "debian-13-amd64-*", "arm64": "debian-13-arm64-*"})
"""Owner and names of Debian's own images of version 13."""


@dataclass(frozen=True)
class Image:
    """An image. `root_gb`: the smallest disk it fits on; `recipe`: key of what is installed ('' = none)."""

    id: str
    root: str
    root_gb: int
    recipe: str = ""


class Images:
    """Chooses images; the choice is kept in the cluster's state folder."""

    def __init__(self, clients: Clients, ledger: Ledger) -> None:
        self._clients = clients
        self._ledger = ledger
        self._chosen: dict[str, Image] = {}

    def choose(self, region: str, group: NodeGroup, kind: Kind, recipe: str) -> Image:
        """Return the image for machines of a group and type.

        Args:
            region: where.
            group: its `image` is an id or a pattern of names; without one, an own image of the recipe is
                preferred, then Debian's, for all types.
            kind: the instance type.
            recipe: key of what the machines should have installed.

        Raises:
            NotReady: there is none, or it plainly has another system than Debian 13.
        """
        wish = Ec2Settings.of(group).image
        question = " ".join(
            [region, wish or "default", kind.architecture, "gpu" if kind.gpus else "", recipe]
        )
        if question not in self._chosen:
            client = self._clients.ec2(region)
            with translate_errors(f"groups.{group.name}.image"):
                self._chosen[question] = self._find(client, question, group, kind, recipe)
        return self._chosen[question]

    def _find(self, client: EC2Client, question: str, group: NodeGroup, kind: Kind, recipe: str) -> Image:
        settings = Ec2Settings.of(group)
        wish = settings.image
        if wish.startswith("ami-"):
            return _by_id(client, wish, group.name)
        if not wish and recipe and (own := _own(client, group.name, kind, recipe)):
            return own
        pinned = self._ledger.pinned().get(question)
        if pinned:
            return Image(**pinned)
        owner, patterns = DEBIAN
        name = wish or patterns[kind.architecture]
        owner = settings.image_owner or ("self" if wish else owner)
        found = _newest(
            client,
            group.name,
            Owners=[owner],
            Filters=[
                *tags.where(
                    state="available",
                    architecture=kind.architecture,
                    name=name,
                )
            ],
        )
        if found is None:
            raise NotReady(
                where=f"groups.{group.name}.image",
                what=f"no image of {owner} is called {name!r} ({kind.architecture})",
                remedy="Name another one (an id or a pattern), or its owner under ec2.image_owner",
            )
        self._ledger.pin(question, asdict(found))
        return found


def _own(client: EC2Client, group: str, kind: Kind, recipe: str) -> Image | None:
    """Return the newest own image of the recipe, for machines with a GPU or for those without."""
    wanted = {tags.RECIPE: recipe, tags.GPU: str(bool(kind.gpus)).lower()}
    filters = [*tags.where(state="available", architecture=kind.architecture), *tags.tagged(wanted)]
    return _newest(client, group, Owners=["self"], Filters=filters)


def _by_id(client: EC2Client, image_id: str, group: str) -> Image:
    try:
        found = _newest(client, group, ImageIds=[image_id])
    except ClientError as error:
        if not code_of(error).startswith("InvalidAMIID"):
            raise translate(error, f"groups.{group}.image") from error
        found = None
    if found is None:
        raise NotReady(
            where=f"groups.{group}.image",
            what=f"there is no image {image_id} in this region, or it is not yours to use",
            remedy="Images differ from region to region; aws ec2 describe-images lists them",
        )
    return found


def _newest(client: EC2Client, group: str, **question: Any) -> Image | None:  # noqa: ANN401  (AWS's own)
    answer = client.describe_images(**question)["Images"]
    if not answer:
        return None
    raw = max(answer, key=lambda image: str(image.get("CreationDate", "")))
    if system := systems.unfit(raw):
        raise NotReady(
            where=f"groups.{group}.image",
            what=f"{raw['ImageId']} ({raw.get('Name', 'no name')}) has {system}, and nodes run Debian 13",
            remedy="Leave `image` out, or name one made from Debian's own",
        )
    root = raw.get("RootDeviceName", "/dev/xvda")
    disks = {disk["DeviceName"]: disk.get("Ebs", {}) for disk in raw.get("BlockDeviceMappings", [])}
    return Image(
        id=raw["ImageId"],
        root=root,
        root_gb=int(disks.get(root, {}).get("VolumeSize", 8)),
        recipe=tags.from_aws(raw.get("Tags", [])).get(tags.RECIPE, ""),
    )
