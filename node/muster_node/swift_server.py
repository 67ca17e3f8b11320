"""`muster-object-store`: Swift's four servers out of one interpreter.

Everything is imported once, then each server is forked. That starts them in a third of the processor time of
four programs, and they share the imported code's memory. Ready (as systemd is told) means that the
container was made, or is there. When one server ends, all do.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
import urllib.request
from collections.abc import Mapping
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
ANSWER_S = 10


def start(server: str) -> int:
    """Fork one server; return its process id."""
    pid = os.fork()
    if pid:
        return pid
    os.environ.pop("NOTIFY_SOCKET", None)
    os._exit(run_wsgi(f"/etc/swift/{server}-server.conf", f"{server}-server"))


def make_container(known: Mapping[str, str]) -> None:
    """Ask for the container, which makes it when the store is new. Raises OSError while nobody answers."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    login = f"http://{known['address']}:{known['port']}/auth/v1.0"
    who = {"X-Auth-User": known["access_key"], "X-Auth-Key": known["secret_key"]}
    with direct.open(urllib.request.Request(login, headers=who), timeout=ANSWER_S) as answer:
        token, account = answer.headers["X-Auth-Token"], answer.headers["X-Storage-Url"]
    request = urllib.request.Request(  # noqa: S310  http, on this machine
        f"{account}/{known['container']}", method="PUT", headers={"X-Auth-Token": token}
    )
    direct.open(request, timeout=ANSWER_S).close()


def wait_until_ready(known: Mapping[str, str]) -> None:
    """Wait for the container. Raises SystemExit after the deadline."""
    end = time.monotonic() + READY_WITHIN_S
    seen: object = "no answer"
    while time.monotonic() < end:
        if os.waitpid(-1, os.WNOHANG) != (0, 0):
            sys.exit("one of the servers ended while it started; the lines above say why")
        try:
            make_container(known)
        except OSError as error:
            seen = error
        else:
            return
        time.sleep(0.05)
    sys.exit(f"the store did not answer for its container within {READY_WITHIN_S} s: {seen}")


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
    for server in SERVERS:
        start(server)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    wait_until_ready(known)
    notify()
    os.wait()
    print("one of the servers ended, so the others are stopped too", file=sys.stderr)
    return 1
