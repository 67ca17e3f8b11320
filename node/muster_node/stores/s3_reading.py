"""GETs of a bucket with little around them: botocore's signer and connections without its client.

The client takes three times the processor time for a GET, and as long to make as to import all the rest. What
goes well goes well without it; whatever else happens is the client's to say, or to ask again for.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlsplit

from muster_node.stores.base import Settings
from muster_node.stores.reading import Answer, Broken

CONNECT_S = 10
NO_KEY = b"<Code>NoSuchKey</Code>"


class Reader:
    """Asks for objects. Threads may share it."""

    def __init__(self, settings: Settings, *, trusted: str | None, timeout_s: float, most: int) -> None:
        from botocore.auth import S3SigV4Auth  # slow to import, and not every program comes to need it
        from botocore.credentials import ReadOnlyCredentials
        from botocore.httpsession import URLLib3Session
        from botocore.utils import get_environ_proxies

        keys = ReadOnlyCredentials(settings.access_key, settings.secret_key, settings.session_token or None)
        self._signer = S3SigV4Auth(keys, "s3", settings.region)
        session: Any = URLLib3Session  # it takes more types than its stubs know of
        self._session = session(
            verify=trusted or True,
            proxies={} if settings.plain else get_environ_proxies(settings.endpoint),
            timeout=(CONNECT_S, timeout_s),
            max_pool_connections=most,
        )
        url = urlsplit(settings.endpoint.rstrip("/"))
        host, path = url.netloc, f"{url.path}/{quote(settings.container)}"
        if settings.virtual_host:
            host, path = f"{settings.container}.{url.netloc}", url.path
        self._base = f"{url.scheme}://{host}{path}"

    def ask(self, key: str, headers: dict[str, str]) -> Answer | None:
        """Ask once for an object, or for what `headers` say of it.

        Returns:
            None: something else came, or nothing; the client knows what to do then.

        Raises:
            KeyError: there is no such object.
        """
        from botocore.awsrequest import AWSRequest
        from botocore.exceptions import BotoCoreError
        from botocore.response import StreamingBody
        from urllib3.exceptions import HTTPError

        request = AWSRequest("GET", f"{self._base}/{quote(key, safe='/~')}", headers, stream_output=True)
        self._signer.add_auth(request)
        try:
            answer = self._session.send(request.prepare())
            if answer.status_code == HTTPStatus.NOT_FOUND and NO_KEY in answer.content:
                raise KeyError(key)
        except (BotoCoreError, HTTPError):
            return None
        length = answer.headers.get("Content-Length", "")
        wanted = HTTPStatus.PARTIAL_CONTENT if "Range" in headers else HTTPStatus.OK
        if answer.status_code != wanted or not length:
            answer.raw.close()
            return None
        return as_answer(StreamingBody(answer.raw, int(length)), int(length), answer.headers.get("ETag", ""))


def as_answer(body: Any, length: int, etag: str) -> Answer:  # noqa: ANN401  botocore's
    """Return what botocore reads of an object as ours."""
    from botocore.exceptions import BotoCoreError
    from urllib3.exceptions import HTTPError

    def read(size: int) -> bytes:
        try:
            content: bytes = body.read(size)
        except (BotoCoreError, HTTPError) as error:  # botocore leaves some of urllib3's, of TLS
            raise Broken(str(error)) from error
        return content

    return Answer(length, etag, read, body.close)
