"""Talking to AWS: clients with deadlines and retries, and what went wrong in one line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

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
from botocore.exceptions import ConnectionError as AwsConnectionError
from botocore.parsers import ResponseParserError
from botocore.session import Session

from provision.core.errors import MusterError, NotReady, ProviderError
from provision.core.wait import until
from provision.providers.ec2.facts import FACTS

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_pricing import PricingClient

T = TypeVar("T")
NAME = FACTS.name
PAGE = "docs/ec2.md"
PRICING_REGION = "us-east-1"

_ATTEMPTS = 6
_ONCE = Config(connect_timeout=3, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 1})

_REGION = re.compile(r"[a-z]{2}(-gov|-iso[a-z]?)?-(north|south|east|west|central){1,2}-[1-9]")
_BROKEN = (AwsConnectionError, HTTPClientError, ResponseParserError)
ERRORS = (BotoCoreError, ClientError, ResponseParserError)
"""What boto3 raises; the last one when something that is not AWS answers, such as a proxy's page."""
_NOT_YET = frozenset({"InvalidGroup.NotFound", "InvalidInstanceID.NotFound", "InvalidKeyPair.NotFound"})
_VISIBLE_S = 60.0
"""Seconds until AWS knows everywhere what it has just made."""
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "RequestTimeTooSkewed"})
_UNKNOWN_CREDENTIALS = frozenset(
    {"AuthFailure", "InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch"}
)
_FORBIDDEN = frozenset({"UnauthorizedOperation", "AccessDenied", "AccessDeniedException"})


class Clients:
    """One boto3 session; a client per region, made when first used. Safe to use from threads."""

    def __init__(self, profile: str = "") -> None:
        self._profile = profile
        self._made: dict[tuple[str, bool], EC2Client] = {}

    def ec2(self, region: str, *, repeats: bool = True) -> EC2Client:
        """Return the client of a region; one that `repeats` tries again what failed. Raises NotReady."""
        if (region, repeats) not in self._made:
            with translate_errors():
                self._require(region)
                settings = self._settings(self.attempts if repeats else 1)
                made = self._session.client("ec2", region_name=region, config=settings)
            self._made[region, repeats] = made
        return self._made[region, repeats]

    @cached_property
    def attempts(self) -> int:
        """How often a call is tried before it has failed; the user's own `max_attempts` wins."""
        return int(self._core.get_config_variable("max_attempts") or _ATTEMPTS)

    def region(self) -> str:
        """Return the region of the user's AWS settings. Raises NotReady when they name none."""
        with translate_errors():
            found = self._session.region_name
        if not found:
            raise _no_region()
        return found

    def identify(self, region: str) -> None:
        """Find out whether AWS knows these credentials. Raises NotReady, ProviderError."""
        with translate_errors():
            self._require(region)
            try:
                self._who_am_i(region)
            except ClientError as error:
                if code_of(error) not in _UNKNOWN_CREDENTIALS or not self._known_elsewhere(region):
                    raise
                raise NotReady(
                    where="ec2.region",
                    what=f"the region {region} is not enabled for this account",
                    remedy="Enable it under Account, AWS Regions; or name another one",
                ) from error

    def quotas(self, region: str) -> Any:  # noqa: ANN401  (a client of boto3's without types)
        """Return a client of a region's quotas that gives up soon: orders tell, too."""
        return self._session.client("service-quotas", region_name=region, config=_ONCE)

    def pricing(self) -> PricingClient:
        """Return a client of the price list that gives up soon: there is a table to fall back on."""
        return self._session.client("pricing", region_name=PRICING_REGION, config=_ONCE)

    def _who_am_i(self, region: str) -> None:
        settings = self._settings(self.attempts)
        self._session.client("sts", region_name=region, config=settings).get_caller_identity()

    def _known_elsewhere(self, region: str) -> bool:
        """Return whether the credentials are good in a region that every account has."""
        try:
            if region != PRICING_REGION:
                self._who_am_i(PRICING_REGION)
                return True
        except ERRORS:
            pass
        return False

    def _require(self, region: str) -> None:
        """Raise NotReady when there is no such region; one that is newer than this boto3 is let pass."""
        partitions = self._session.get_available_partitions()
        known = [name for part in partitions for name in self._session.get_available_regions("ec2", part)]
        if region not in known and not _REGION.fullmatch(region):
            close = difflib.get_close_matches(region, known, n=1)
            raise NotReady(
                where="ec2.region",
                what=f"there is no region {region!r}",
                remedy=f"Did you mean {close[0]}?" if close else "Name one such as eu-central-1",
            )

    @cached_property
    def _session(self) -> boto3.Session:
        return boto3.Session(botocore_session=self._core, profile_name=self._profile or None)

    @cached_property
    def _core(self) -> Session:
        return Session(profile=self._profile or None)

    @staticmethod
    def _settings(attempts: int) -> Config:
        """Return time-outs and retries.

        Standard mode: throttling, 5xx and broken connections are tried again after a random pause that
        doubles, with the same bytes.
        """
        retries: Any = {"mode": "standard", "total_max_attempts": attempts}
        return Config(connect_timeout=10, read_timeout=30, retries=retries)


def code_of(error: ClientError) -> str:
    """Return AWS's code of an error, such as `RequestLimitExceeded`."""
    return str(error.response.get("Error", {}).get("Code", ""))


def message_of(error: ClientError) -> str:
    """Return AWS's own words, without the encoded message that only an administrator can read."""
    text = str(error.response.get("Error", {}).get("Message", ""))
    return text.partition("Encoded authorization failure message")[0].strip()


def failed(error: Exception) -> bool:
    """Return True when a call broke off or AWS had a fault of its own, rather than refused it."""
    if isinstance(error, ClientError):
        return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)) >= 500
    return isinstance(error, _BROKEN)


def once_visible(call: Callable[[], T]) -> T:
    """Make a call; what AWS does not know it does not know yet, for a while. Raises as boto3 does."""

    def attempt() -> tuple[T] | None:
        try:
            return (call(),)
        except ClientError as error:
            if code_of(error) not in _NOT_YET:
                raise
            return None

    made = until(attempt, deadline_s=_VISIBLE_S, interval_s=0.5, growth=1.5, longest_s=5)
    return made[0] if made else call()


@contextmanager
def translate_errors(where: str = "") -> Iterator[None]:
    """Turn boto3's errors into ours. `where`: what the call was about."""
    try:
        yield
    except ERRORS as error:
        raise translate(error, where) from error


def translate(error: Exception, where: str = "") -> MusterError:
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
    if isinstance(error, _BROKEN):
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
    if code in _UNKNOWN_CREDENTIALS:
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
    if "free tier" in message.lower():
        return NotReady(
            where=where or NAME,
            what=f"this account is on AWS's free plan, which has few types ({message})",
            remedy="Upgrade its plan, or name types that aws ec2 describe-instance-types "
            "--filters Name=free-tier-eligible,Values=true lists",
        )
    return ProviderError(
        provider=NAME, where=where or NAME, what=f"{error.operation_name}: {code}: {message}"
    )


def _no_region() -> NotReady:
    return NotReady(where=NAME, what="no region is named", remedy="Set ec2.region, for example eu-central-1")
