"""Who has signed an S3 request (AWS Signature Version 4, as our nodes' client signs)."""

from __future__ import annotations

import hmac
import re
import time
from calendar import timegm
from collections.abc import Mapping
from dataclasses import dataclass

from muster_node.stores.sigv4 import authorization

LEEWAY_S = 900
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/([0-9]{8}/[a-z0-9-]+/s3/aws4_request), "
    r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})"
)


@dataclass(frozen=True)
class Signed:
    """A request: path and query as they came, header names in lower case, the body's SHA-256."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body_sha256: str


def signed_by(access_key: str, secret_key: str, request: Signed) -> bool:
    """Say whether these keys signed the request, body and host included, within the last minutes."""
    match = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
    moment = request.headers.get("x-amz-date", "")
    try:
        age_s = abs(time.time() - timegm(time.strptime(moment, "%Y%m%dT%H%M%SZ")))
    except ValueError:
        return False
    if not match or match[1] != access_key or age_s > LEEWAY_S:
        return False
    scope, names = match[2], match[3].split(";")
    if not {"host", "x-amz-content-sha256", "x-amz-date"} <= set(names):
        return False
    if request.headers.get("x-amz-content-sha256") != request.body_sha256:
        return False
    headers = {name: request.headers.get(name, "").strip() for name in names}
    right = authorization(
        request.method, request.path, request.query, headers,
        access_key=access_key, secret_key=secret_key, region=scope.split("/")[1],
    )  # fmt: skip
    return hmac.compare_digest(right, request.headers["authorization"])
