#!/usr/bin/python3
"""Swift's four servers out of one interpreter: everything is imported once, then each server is forked.

That starts them in a third of the processor time of four programs, and they share the imported code's memory.
Ready (as systemd is told) means that a signed S3 request for the container was answered. When one server ends,
all do.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

import swift.account.server
import swift.common.middleware.s3api.s3api
import swift.common.middleware.tempauth
import swift.container.server
import swift.obj.server
import swift.proxy.server  # noqa: F401  imported before the forks
from swift.common.wsgi import run_wsgi

SERVERS = ("account", "container", "object", "proxy")
READY_WITHIN_S = 50


def start(server: str) -> int:
    """Fork one server; return its process id."""
    pid = os.fork()
    if pid:
        return pid
    os.environ.pop("NOTIFY_SOCKET", None)
    os._exit(run_wsgi(f"/etc/swift/{server}-server.conf", f"{server}-server"))


def signed(settings: dict, method: str) -> int:
    """Send one signed S3 request for the container; return the answer's status.

    Raises OSError while the servers are not up.
    """
    host, path = f"{settings['address']}:{settings['port']}", f"/{settings['container']}"
    now, empty = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()), hashlib.sha256(b"").hexdigest()
    names = "host;x-amz-content-sha256;x-amz-date"
    canonical = (
        f"{method}\n{path}\n\nhost:{host}\nx-amz-content-sha256:{empty}\nx-amz-date:{now}\n\n{names}\n{empty}"
    )
    scope = f"{now[:8]}/{settings['region']}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{settings['secret_key']}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    connection = http.client.HTTPConnection(settings["address"], settings["port"], timeout=10)
    headers = {
        "x-amz-date": now,
        "x-amz-content-sha256": empty,
        "Authorization": f"AWS4-HMAC-SHA256 Credential={settings['access_key']}/{scope}, "
        f"SignedHeaders={names}, Signature={signature}",
    }
    try:
        connection.request(method, path, headers=headers)
        return connection.getresponse().status
    except http.client.HTTPException as error:
        raise OSError(str(error)) from error
    finally:
        connection.close()


def wait_until_ready(settings: dict) -> None:
    """Wait for the container, making it when the store is new. Raises SystemExit after the deadline."""
    end, seen = time.monotonic() + READY_WITHIN_S, "no answer"
    while time.monotonic() < end:
        if os.waitpid(-1, os.WNOHANG) != (0, 0):
            sys.exit("one of the servers ended while it started; the lines above say why")
        try:
            seen = status = signed(settings, "HEAD")
            if status == 404:
                seen = status = signed(settings, "PUT")
            if status == 200:
                return
        except OSError as error:
            seen = error
        time.sleep(0.05)
    sys.exit(f"the store did not answer a signed request for its container within {READY_WITHIN_S} s: {seen}")


def notify() -> None:
    """Tell systemd that the store is ready."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.connect("\0" + address[1:] if address.startswith("@") else address)
            sock.send(b"READY=1")


def main() -> None:
    """Start the servers, say when they answer, and end when one of them ends."""
    settings = json.loads(Path("/etc/swift/s3.json").read_text())
    for server in SERVERS:
        start(server)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    wait_until_ready(settings)
    notify()
    os.wait()
    sys.exit("one of the servers ended, so the others are stopped too")


main()
