"""Who has signed an S3 request (AWS Signature Version 4), judged by botocore."""

from __future__ import annotations

import hmac
import re
import time
from calendar import timegm
from collections.abc import Mapping
from dataclasses import dataclass

LEEWAY_S = 900
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/([0-9]{8})/([a-z0-9-]+)/s3/aws4_request, "
    r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})"
)


@dataclass(frozen=True)
class Signed:
    """The head of a request: path and query as they came, header names in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]


def signed_by(access_key: str, secret_key: str, request: Signed) -> bool:
    """Say whether these keys signed the request, host included, within the last minutes.

    Signed, too, is what the body's SHA-256 must be (`x-amz-content-sha256`); the body is not asked for.
    """
    from botocore.auth import S3SigV4Auth  # slow to import
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    match = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
    moment = request.headers.get("x-amz-date", "")
    try:
        age_s = abs(time.time() - timegm(time.strptime(moment, "%Y%m%dT%H%M%SZ")))
    except ValueError:
        return False
    if not match or match[1] != access_key or age_s > LEEWAY_S or match[2] != moment[:8]:
        return False
    names = match[4].split(";")
    if not {"host", "x-amz-content-sha256", "x-amz-date"} <= set(names):
        return False
    headers = {name: request.headers.get(name, "").strip() for name in names}
    url = f"http://{headers['host']}{request.path}?{request.query}"
    again = AWSRequest(request.method, url, headers)
    again.context["timestamp"] = moment
    judge = S3SigV4Auth(Credentials(access_key, secret_key), "s3", match[3])
    right = judge.signature(judge.string_to_sign(again, judge.canonical_request(again)), again)
    return hmac.compare_digest(right, match[5])
