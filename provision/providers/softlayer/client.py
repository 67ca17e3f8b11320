"""Calls of the SoftLayer API: each with a time-out, never faster than it allows, errors in our words."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from configparser import Error as ConfigParserError
from typing import Any, TypeVar

import SoftLayer

from provision.core.errors import MusterError, NotReady
from provision.core.wait import until
from provision.providers.softlayer.failures import CAUGHT, ApiError, Kind, explain

TIMEOUT_S = 30.0
"""Seconds for one call."""
SLOW_TIMEOUT_S = 180.0
"""Seconds for one of those that are known to take their time."""
SLOW = frozenset({"createObjects", "generateOrderTemplate", "getCreateObjectOptions", "verifyOrder"})
RETRY_FOR_S = 20.0
"""Seconds for which a call is repeated that may be: the API is throttling, or out of reach for a moment."""
RETRY_AFTER_S = 1.0
PER_SECOND = 40
"""Calls; the API turns away more than 50."""
PAGE, SMALLEST_PAGE = 100, 10
"""The most objects that one call returns; and how few are asked for when the API breaks down over more."""
THREADS = 8

Raw = dict[str, Any]
T = TypeVar("T")

_REPEATABLE = frozenset({Kind.THROTTLED, Kind.UNCLEAR, Kind.UNSENT})


class Pace:
    """Spreads the calls of this process, whichever thread they come from."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next = 0.0

    def wait(self) -> None:
        """Return when the next call may be sent."""
        with self._lock:
            turn = max(self._next, time.monotonic())
            self._next = turn + 1 / PER_SECOND
        left_s = turn - time.monotonic()
        if left_s > 0:
            until(lambda: time.monotonic() >= turn, deadline_s=left_s, interval_s=left_s)


_PACE = Pace()


class Api:
    """The API with the credentials, endpoint and proxy of the client's own settings (~/.softlayer, SL_…)."""

    def __init__(self) -> None:
        self._clients: dict[float, Any] = {}

    def _client(self, method: str) -> Any:  # noqa: ANN401  the package has no types
        timeout_s = SLOW_TIMEOUT_S if method in SLOW else TIMEOUT_S
        if timeout_s not in self._clients:
            self._clients[timeout_s] = self._new_client(timeout_s)
        return self._clients[timeout_s]

    @staticmethod
    def _new_client(timeout_s: float) -> Any:  # noqa: ANN401
        try:
            client = SoftLayer.create_client_from_env(timeout=timeout_s)
        except (ConfigParserError, ValueError, OSError) as error:
            raise NotReady(
                where="~/.softlayer", what=f"cannot be read: {error}", remedy="`slcli setup` writes it anew"
            ) from error
        if client.auth is None:
            raise NotReady(
                where="SoftLayer",
                what="there are no credentials",
                remedy="Write them into ~/.softlayer with `slcli setup`, or set SL_USERNAME and SL_API_KEY",
            )
        return client

    def call(self, service: str, method: str, *args: Any, repeatable: bool = True, **more: Any) -> Any:  # noqa: ANN401
        """Make one call.

        Args:
            service: such as `Virtual_Guest`.
            method: of the service.
            args: its arguments.
            repeatable: False when doing it twice differs from doing it once; then only calls that were turned
                away by the rate limit are repeated.
            more: `id`, `mask`, `filter`, `limit`, `offset`.

        Raises:
            NotReady: no or wrong credentials.
            ApiError: anything else.
        """
        client = self._client(method)
        failure: ApiError | None = None

        def attempt() -> tuple[Any] | None:
            nonlocal failure
            _PACE.wait()
            try:
                return (client.call(service, method, *args, **more),)
            except CAUGHT as error:
                said: MusterError = explain(error)
                retried = _REPEATABLE if repeatable else {Kind.THROTTLED}
                if not isinstance(said, ApiError) or said.kind not in retried:
                    raise said from error
                if said.internal and more.get("limit", 0) > SMALLEST_PAGE:
                    raise said from error  # asking for less helps, asking again does not
                failure = said
                return None

        answer = until(attempt, deadline_s=RETRY_FOR_S, interval_s=RETRY_AFTER_S)
        if answer is None:
            assert failure is not None  # noqa: S101  every attempt without an answer has set it
            raise failure
        return answer[0]

    def pages(
        self,
        service: str,
        method: str,
        *,
        mask: str,
        query: Mapping[str, Any],
        **more: Any,  # noqa: ANN401
    ) -> list[Raw]:
        """Return everything that a filter lets through, in one call per hundred; for less where that fails.

        Raises as `call`.
        """
        found: list[Raw] = []
        size = PAGE
        while True:
            try:
                page = self.call(
                    service, method, mask=mask, filter=dict(query), limit=size, offset=len(found), **more
                )
            except ApiError as error:
                if not error.internal or size == SMALLEST_PAGE:
                    raise
                size = max(SMALLEST_PAGE, size // 2)
                continue
            found += page
            total = getattr(page, "total_count", 0)
            if len(page) < size or len(found) == total:
                return found

    def each(self, action: Callable[[T], object], things: Iterable[T]) -> None:
        """Do something to each, a few at a time, to the end; then raise the first failure."""
        with ThreadPoolExecutor(THREADS) as pool:
            futures = [pool.submit(action, thing) for thing in things]
        for future in futures:
            future.result()
