"""`muster-engines`, on the master: which engines have joined; `wait SECONDS`: until all have."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping

import zmq
from ipyparallel.util import connect
from jupyter_client.session import Session

from muster_node.engines.settings import REGISTRATION, WISHED, Settings, machine_of

ANSWER_S = 5.0
PAUSE_S = 0.5


def known(settings: Settings, timeout_s: float = ANSWER_S) -> list[str]:
    """Return the names of the engines that have joined. Raises TimeoutError: no answer."""
    session = Session(key=settings.key.encode())
    public, secret = zmq.curve_keypair()
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.linger = 0
        keys = {
            "curve_publickey": public,
            "curve_secretkey": secret,
            "curve_serverkey": settings.public.encode(),
        }
        connect(socket, f"tcp://127.0.0.1:{REGISTRATION}", **keys)
        session.send(socket, "connection_request")
        if not socket.poll(int(timeout_s * 1000)):
            raise TimeoutError("the controller of the engines does not answer")
        answer = session.recv(socket)[1]
    return sorted((answer or {})["content"]["engines"].values())


def lacking(wished: Mapping[str, int], there: Iterable[str]) -> str:
    """Return, in words, on which machines engines have not joined; '' when all have."""
    found = Counter(map(machine_of, there))
    short = [
        f"{found[machine]} of {count} engines of {machine} have joined"
        for machine, count in wished.items()
        if found[machine] < count
    ]
    return "; ".join(short)


def wait(settings: Settings, wished: Mapping[str, int], deadline_s: float) -> str:
    """Wait until all engines have joined; return what is lacking then, '' = nothing."""
    end = time.monotonic() + deadline_s
    while True:
        try:
            lacks = lacking(wished, known(settings))
        except TimeoutError as error:
            lacks = str(error)
        if not lacks or time.monotonic() > end:
            return lacks
        time.sleep(PAUSE_S)


def main() -> int:
    """Say it, or wait."""
    settings, wished = Settings.load(), json.loads(WISHED.read_text())
    if sys.argv[1:2] == ["wait"]:
        lacks = wait(settings, wished, float(sys.argv[2]))
        if lacks:
            print(f"{lacks}; see journalctl -u 'muster-engine@*' there", file=sys.stderr)
        return bool(lacks)
    there = known(settings)
    told = {"engines": there, "wished": wished, "key": settings.key, "public": settings.public}
    print(json.dumps(told))
    return 0
