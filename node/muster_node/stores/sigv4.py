"""AWS Signature Version 4, for S3."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


def authorization(
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    *,
    access_key: str,
    secret_key: str,
    region: str,
) -> str:
    """Return the Authorization header of a request.

    Args:
        method: of HTTP.
        path: as it is sent, quoted.
        query: as it is sent, its names in order; without the question mark.
        headers: what is signed, names in lower case: at least host, x-amz-date and x-amz-content-sha256.
        access_key: who asks.
        secret_key: proves it.
        region: of the store.
    """
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    canonical = "\n".join([method, path, query, lines, names, headers["x-amz-content-sha256"]])
    moment = headers["x-amz-date"]
    scope = f"{moment[:8]}/{region}/s3/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    return f"AWS4-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
