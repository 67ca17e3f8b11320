"""An S3 store that is asked through SSH; no port of this computer leads to it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from http.client import HTTPException
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from muster_node.stores.base import Settings
from muster_node.stores.s3 import S3Store
from provision.ssh.tunnels import Dial, HttpConnection

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest, AWSResponse


def store_through(settings: Settings, dial: Dial) -> S3Store:
    """Return a store whose requests all go over `dial`. Raises the nodes' StoreError."""
    store = S3Store(settings, direct=False)
    store.client.meta.events.register("before-send.s3", partial(_send, dial))
    return store


def _send(dial: Dial, request: AWSPreparedRequest, **_: object) -> AWSResponse:
    """Send a request of boto3's over `dial`, in place of its own connections; see its event `before-send`.

    Raises:
        EndpointConnectionError: there was no answer; boto3 tries again as it does with its own.
    """
    from botocore.awsrequest import AWSResponse
    from botocore.exceptions import EndpointConnectionError

    url = urlsplit(request.url)
    headers = {name: value for name, value in request.headers.items() if name.lower() != "expect"}
    connection = HttpConnection(url.hostname or "", url.port or 80, dial)
    body: Any = request.body
    try:
        target = f"{url.path}?{url.query}" if url.query else url.path
        connection.request(request.method, target, body=body, headers=headers)
        answer: Any = connection.getresponse()
        return AWSResponse(request.url, answer.status, answer.headers, _Content(answer.read()))
    except (OSError, HTTPException, EOFError) as error:
        raise EndpointConnectionError(endpoint_url=request.url, error=error) from error
    finally:
        connection.hang_up()


class _Content(BytesIO):
    """The content of an answer, as boto3 reads it."""

    def stream(self, **_: object) -> Iterator[bytes]:
        """Yield what is left."""
        yield self.read()
