"""Who has signed an S3 request (AWS Signature Version 4, as our nodes' client signs)."""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from calendar import timegm
from collections.abc import Mapping
from dataclasses import dataclass

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
    lines = "".join(f"{name}:{request.headers.get(name, '').strip()}\n" for name in names)
    canonical = "\n".join([request.method, request.path, request.query, lines, match[3], request.body_sha256])
    text = "\n".join(["AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.compare_digest(hmac.digest(key, text.encode(), "sha256").hex(), match[4])
