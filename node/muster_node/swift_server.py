"""`muster-object-store`: Swift's four servers out of one interpreter.

Everything is imported once, then each server is forked. That starts them in a third of the processor time of
four programs, and they share the imported code's memory. Ready (as systemd is told) means that a signed S3
request for the container was answered. When one server ends, all do.
"""

from __future__ import annotations

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

from muster_node.stores.base import Settings
from muster_node.stores.s3 import S3Store

SERVERS = ("account", "container", "object", "proxy")
READY_WITHIN_S = 50


def start(server: str) -> int:
    """Fork one server; return its process id."""
    pid = os.fork()
    if pid:
        return pid
    os.environ.pop("NOTIFY_SOCKET", None)
    os._exit(run_wsgi(f"/etc/swift/{server}-server.conf", f"{server}-server"))


def wait_until_ready(store: S3Store) -> None:
    """Wait for the container, making it when the store is new. Raises SystemExit after the deadline."""
    end = time.monotonic() + READY_WITHIN_S
    seen: object = "no answer"
    while time.monotonic() < end:
        if os.waitpid(-1, os.WNOHANG) != (0, 0):
            sys.exit("one of the servers ended while it started; the lines above say why")
        try:
            seen = status = store.ask_container("HEAD")
            if status == 404:
                seen = status = store.ask_container("PUT")
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


def main() -> int:
    """Start the servers, say when they answer, and end when one of them ends."""
    known = json.loads(Path("/etc/swift/s3.json").read_text())
    endpoint = f"http://{known.pop('address')}:{known.pop('port')}"
    store = S3Store(Settings(endpoint=endpoint, **known), timeout_s=10)
    for server in SERVERS:
        start(server)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    wait_until_ready(store)
    notify()
    os.wait()
    print("one of the servers ended, so the others are stopped too", file=sys.stderr)
    return 1
