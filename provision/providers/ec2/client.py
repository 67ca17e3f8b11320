"""Talking to AWS: clients with deadlines and retries, and what went wrong in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
)

from provision.errors import MusterError, NotReady, ProviderError

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_pricing import PricingClient

NAME = "ec2"
PAGE = "docs/ec2.md"
PRICING_REGION = "us-east-1"

# Standard mode: throttling, 5xx and broken connections are tried again after a random pause that doubles, with
# the same bytes; a RunInstances among them has its ClientToken.
_SETTINGS = Config(connect_timeout=10, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 6})
_ONCE = Config(connect_timeout=3, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 1})

_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "RequestTimeTooSkewed"})
_STRANGER = frozenset(
    {"AuthFailure", "InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch"}
)
_FORBIDDEN = frozenset({"UnauthorizedOperation", "AccessDenied", "AccessDeniedException"})


class Clients:
    """One boto3 session; a client per region, made when first used. Safe to use from threads."""

    def __init__(self, profile: str = "") -> None:
        self._profile = profile
        self._session: boto3.Session | None = None
        self._made: dict[str, EC2Client] = {}

    def ec2(self, region: str) -> EC2Client:
        """Return the client of a region. Raises NotReady."""
        if region not in self._made:
            with spoken():
                self._made[region] = self._open().client("ec2", region_name=region, config=_SETTINGS)
        return self._made[region]

    def region(self) -> str:
        """Return the region of the user's AWS settings. Raises NotReady when they name none."""
        with spoken():
            found = self._open().region_name
        if not found:
            raise _no_region()
        return found

    def identify(self, region: str) -> None:
        """Find out whether AWS knows these credentials. Raises NotReady, ProviderError."""
        with spoken():
            self._open().client("sts", region_name=region, config=_SETTINGS).get_caller_identity()

    def pricing(self) -> PricingClient:
        """Return a client of the price list that gives up soon: there is a table to fall back on."""
        return self._open().client("pricing", region_name=PRICING_REGION, config=_ONCE)

    def _open(self) -> boto3.Session:
        if self._session is None:
            self._session = boto3.Session(profile_name=self._profile or None)
        return self._session


def code_of(error: ClientError) -> str:
    """Return AWS's code of an error, such as `RequestLimitExceeded`."""
    return str(error.response.get("Error", {}).get("Code", ""))


def message_of(error: ClientError) -> str:
    """Return AWS's own words, without the encoded message that only an administrator can read."""
    text = str(error.response.get("Error", {}).get("Message", ""))
    return text.partition("Encoded authorization failure message")[0].strip()


def unanswered(error: BotoCoreError | ClientError) -> bool:
    """Return True when AWS may have carried out the call all the same."""
    if isinstance(error, ClientError):
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        return status >= 500 and code_of(error) != "RequestLimitExceeded"  # throttled: refused for certain
    return isinstance(error, HTTPClientError)


@contextmanager
def spoken(where: str = "") -> Iterator[None]:
    """Turn boto3's errors into ours. `where`: what the call was about."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise translated(error, where) from error


def translated(error: BotoCoreError | ClientError, where: str = "") -> MusterError:
    """Return an error of boto3 as one line that names the remedy."""
    if isinstance(error, ClientError):
        return _refusal(error, where)
    if isinstance(error, NoRegionError):
        return _no_region()
    if isinstance(error, ProfileNotFound):
        return NotReady(
            where=where or NAME, what=str(error), remedy="Correct ec2.profile or run aws configure"
        )
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return NotReady(
            where=where or NAME,
            what="there are no AWS credentials",
            remedy=f"Run aws configure, or name a profile under ec2.profile; see {PAGE}",
        )
    if isinstance(error, HTTPClientError):
        return ProviderError(
            provider=NAME,
            where=where or NAME,
            what=f"AWS cannot be reached ({error})",
            remedy="Check network and proxy, and the region's name; then run the same command again",
        )
    return NotReady(where=where or NAME, what=str(error), remedy=f"See {PAGE}")


def _refusal(error: ClientError, where: str) -> MusterError:
    code, message = code_of(error), message_of(error)
    if code in _EXPIRED:
        return NotReady(
            where=where or NAME,
            what=f"the AWS credentials have expired, or this computer's clock is wrong ({code})",
            remedy="Sign in again (aws sso login), and compare the clock with `date -u`",
        )
    if code in _STRANGER:
        return NotReady(
            where=where or NAME,
            what=f"AWS does not accept these credentials ({code})",
            remedy="Check them with aws sts get-caller-identity; this computer's clock may be wrong, too",
        )
    if code in _FORBIDDEN:
        return NotReady(
            where=where or NAME,
            what=f"AWS does not permit {error.operation_name} ({message or code})",
            remedy=f"{PAGE} has the policy that is needed",
        )
    return ProviderError(
        provider=NAME, where=where or NAME, what=f"{error.operation_name}: {code}: {message}"
    )


def _no_region() -> NotReady:
    return NotReady(where=NAME, what="no region is named", remedy="Set ec2.region, for example eu-central-1")
