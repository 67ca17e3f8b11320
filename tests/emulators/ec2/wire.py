"""Between the network and moto: credentials, faults, client tokens, room, and the harness's own requests."""

from __future__ import annotations

import hashlib
import io
import json
import re
import socket
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from moto.ec2.models import ec2_backends as moto_backends

from tests.emulators.ec2 import policy, quotes, shown
from tests.emulators.ec2.books import Books, Fault
from tests.emulators.ec2.images import ACCOUNT
from tests.emulators.ec2.patches import Patches

Environ = dict[str, Any]
Reply = tuple[str, list[tuple[str, str]], bytes]
CONTROL = "/_emulator/"
THROTTLED = ("RequestLimitExceeded", "Request limit exceeded.")
SERVER_ERRORS = frozenset(
    {
        *(
            f"Insufficient{what}Capacity"
            for what in ("", "Address", "Host", "Instance", "ReservedInstance", "Volume")
        ),
        *(
            "BandwidthLimitExceeded",
            "InternalError",
            "InternalFailure",
            "RequestLimitExceeded",
            "ServerInternal",
        ),
        *("ServiceUnavailable", "Unavailable"),
    }
)
"""What EC2 calls errors of its own (HTTP 500): https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html"""


class Wire:
    """A WSGI application around moto's."""

    def __init__(self, moto: Callable[..., Iterable[bytes]], books: Books, patches: Patches) -> None:
        self.moto = moto
        self.books = books
        self.patches = patches

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        with self.books.lock:
            if path == "/checkip":
                reply = _text(self.books.settings.address)
            elif path.startswith(CONTROL):
                reply = _json(self._control(path.removeprefix(CONTROL), json.loads(body or b"{}")))
            else:
                reply = self._aws(environ, body)
        start_response(reply[0], [*reply[1], ("Content-Length", str(len(reply[2])))])
        return [reply[2]]

    def _aws(self, environ: Environ, body: bytes) -> Reply:
        told = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        priced = environ.get("HTTP_X_AMZ_TARGET", "")
        action = told.get("Action", "") or priced.rpartition(".")[2]
        dry = told.get("DryRun") == "true"
        self.books.calls[f"{action} (dry)" if dry else action] += 1
        self.books.tick()
        self.patches.look()
        if f"Credential={self.books.settings.access_key}/" not in environ.get("HTTP_AUTHORIZATION", ""):
            return _error("AuthFailure", "AWS was not able to validate the provided access credentials", 401)
        fault = None if dry else self.books.fault(action)
        if fault and (refusal := _before(fault, environ)):
            return refusal
        if refused := self._refused(environ, action, told):
            if _scope(environ)[1] in ("pricing", "servicequotas"):
                return quotes.REFUSED
            code = "UnauthorizedOperation" if _scope(environ)[1] == "ec2" else "AccessDenied"
            return _error(code, f"You are not authorized to perform this operation: {refused}", 403)
        if dry:
            return _error("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412)
        if "ServiceQuotas" in priced:
            reply = quotes.quota(self.books.settings.quotas, json.loads(body))
        elif "PriceList" in priced:  # moto has none, and not everybody may ask AWS's
            reply = quotes.products(self.books.settings.listed, json.loads(body))
        elif action == "RunInstances":
            reply = self._run(environ, told, body)
        elif action == "DescribeSpotPriceHistory":
            reply = self._spot_prices(told)
        else:  # moto knows the other way to say the same
            old, new = (
                b"InstanceInitiatedShutdownBehavior.Value=",
                b"Attribute=instanceInitiatedShutdownBehavior&Value=",
            )
            reply = self._moto(environ, body.replace(old, new))
        if fault and fault.kind == "drop-after":
            _drop(environ)
        return _error("InternalError", "An internal error has occurred", 500) if fault else reply

    def _refused(self, environ: Environ, action: str, told: dict[str, str]) -> str:
        """Return what the account's policy does not permit, '' when it permits the call."""
        region, service = _scope(environ)
        if not self.books.settings.policy or not action:
            return ""
        if service == "ec2":
            asked = [*policy.questions(told, moto_backends[ACCOUNT][region])]
        else:
            asked = [policy.Question(f"{service}:{action}", "*")]
        self.books.asked.update(one.action for one in asked)
        denied = self.books.settings.denied
        return next(
            (
                f"{one.action} on {one.resource}"
                for one in asked
                if one.action in denied or not one.permitted()
            ),
            "",
        )

    def _run(self, environ: Environ, told: dict[str, str], body: bytes) -> Reply:
        token = told.get("ClientToken", "")
        digest = hashlib.sha256(json.dumps(sorted(told.items())).encode()).hexdigest()
        if token in self.books.replies:
            before, body_then = self.books.replies[token]
            if before != digest:
                return _error(
                    "IdempotentParameterMismatch", "Arguments on this idempotent request are inconsistent with arguments used in previous request(s)."
                )  # fmt: skip
            return "200 OK", [("Content-Type", "text/xml")], body_then
        subnet = told.get("SubnetId") or told.get("NetworkInterface.1.SubnetId", "")
        kind, market = told["InstanceType"], told.get("InstanceMarketOptions.MarketType", "on-demand")
        zone = self._zone(environ, subnet)
        least, most = int(told["MinCount"]), int(told["MaxCount"])
        left = self.books.room_for(kind, zone, market)
        if left is not None and left < least:
            return _error(
                "InsufficientInstanceCapacity", f"We currently do not have sufficient {kind} capacity in the Availability Zone you requested ({zone})."
            )  # fmt: skip
        offer = told.get("InstanceMarketOptions.SpotOptions.MaxPrice")
        price = self.books.settings.spot_prices.get(kind, self.books.settings.spot_price)
        if market == "spot" and offer and float(offer) < price:
            return _error(
                "SpotMaxPriceTooLow", f"Your Spot request price of {offer} is lower than the minimum required Spot request fulfillment price of {price}."
            )  # fmt: skip
        count = most if left is None else min(most, left)
        body = re.sub(rb"MinCount=\d+", b"MinCount=%d" % count, body)
        reply = self._moto(environ, body)
        if reply[0].startswith("200"):
            self.books.take(kind, zone, market, count)
            lasts = told.get("InstanceMarketOptions.SpotOptions.SpotInstanceType") == "persistent"
            self.books.orders.append(
                {"token": token, "count": count, "type": kind, "zone": zone, "market": market, "lasts": lasts}
            )
            if token:
                self.books.replies[token] = (digest, reply[2])
        return reply

    def _moto(self, environ: Environ, body: bytes) -> Reply:
        answer: dict[str, Any] = {}

        def start_response(status: str, headers: list[tuple[str, str]], _: Any = None) -> None:
            answer.update(status=status, headers=[h for h in headers if h[0].lower() != "content-length"])

        inner = {**environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        content = b"".join(self.moto(inner, start_response))
        return answer["status"], answer["headers"], content

    def _zone(self, environ: Environ, subnet: str) -> str:
        region, _ = _scope(environ)
        backend = moto_backends[ACCOUNT][region]
        return str(backend.get_subnet(subnet).availability_zone) if subnet else f"{region}a"

    def _spot_prices(self, told: dict[str, str]) -> Reply:
        kinds = [value for key, value in told.items() if key.startswith("InstanceType.")]
        now = datetime.now(tz=UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        settings = self.books.settings
        items = "".join(
            f"<item><instanceType>{kind}</instanceType><productDescription>Linux/UNIX</productDescription>"
            f"<spotPrice>{settings.spot_prices.get(kind, settings.spot_price) + extra:.6f}</spotPrice>"
            f"<timestamp>{now}</timestamp><availabilityZone>eu-west-1{zone}</availabilityZone></item>"
            for kind in kinds
            for zone, extra in (("a", 0.0), ("b", 0.002))
        )
        return _xml(f"<DescribeSpotPriceHistoryResponse><spotPriceHistorySet>{items}</spotPriceHistorySet></DescribeSpotPriceHistoryResponse>")  # fmt: skip

    def _control(self, what: str, told: dict[str, Any]) -> Any:
        books = self.books
        if what == "settings":
            for key, value in told.items():
                setattr(books.settings, key, value)
        elif what == "fault":
            books.faults.append(Fault(**told))
        elif what == "faults":
            books.faults[:] = [Fault(**fault) for fault in told["faults"]]
        elif what == "room":
            books.room.update(told)
        elif what == "reset":
            for backend in moto_backends[ACCOUNT].values():
                backend.reset()
            books.reset()
            self.patches.backends.clear()
            self.patches.imaging.reset()
        elif what == "forget":
            self.patches.forget()
        elif what == "interrupt":
            found = [one for one in self.patches.instances() if one.id in told["ids"]]
            self.patches.end(found, "Server.SpotInstanceTermination")
        elif what == "books":
            books.tick()
            self.patches.look()
            return shown.everything(books, self.patches)
        else:
            raise ValueError(what)
        return {}


def _scope(environ: Environ) -> tuple[str, str]:
    """Return region and service that a call was signed for."""
    region, service = environ["HTTP_AUTHORIZATION"].split("Credential=")[1].split("/")[2:4]
    return region, service


def _before(fault: Fault, environ: Environ) -> Reply | None:
    if fault.kind == "drop-before":
        _drop(environ)
    if fault.kind == "500-before":
        return _error("Unavailable", "The service is unavailable. Please try again shortly.", 503)
    if fault.kind == "throttle":
        return _error(*THROTTLED, 503)
    if fault.kind == "empty":
        return _xml(f"<{fault.action}Response><{fault.code}/></{fault.action}Response>")
    if fault.kind == "error":
        return _error(fault.code, fault.message or "made up by the emulator")
    return None


def _drop(environ: Environ) -> None:
    """Break the connection without a reply."""
    connection: socket.socket = environ["werkzeug.socket"]
    connection.shutdown(socket.SHUT_RDWR)
    raise ConnectionError("dropped on purpose")


def _error(code: str, message: str, status: int = 400) -> Reply:
    status = max(status, 500) if code in SERVER_ERRORS else status
    text = (
        f"<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>"
        "<RequestID>00000000-0000-0000-0000-000000000000</RequestID></Response>"
    )
    return f"{status} {code}", [("Content-Type", "text/xml")], text.encode()


def _xml(text: str) -> Reply:
    return "200 OK", [("Content-Type", "text/xml")], text.encode()


def _text(text: str) -> Reply:
    return "200 OK", [("Content-Type", "text/plain")], f"{text}\n".encode()


def _json(value: Any) -> Reply:
    return "200 OK", [("Content-Type", "application/json")], json.dumps(value).encode()
