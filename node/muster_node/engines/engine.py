"""`muster-engine NUMBER`: one engine; systemd starts it again whenever it ends.

An engine whose first heartbeat comes before the controller has noted its registration, or that was
silent for half a minute, is unknown to the controller for ever, and does not notice. So it asks.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

import zmq
from ipyparallel.engine.app import IPEngine
from ipyparallel.util import connect
from tornado.ioloop import PeriodicCallback
from traitlets.config import Config
from zmq.eventloop.zmqstream import ZMQStream

from muster_node.engines.settings import Settings, name_of

ASK_S = 5.0
JOIN_S = 40.0
"""How long it may take to be known at first: the controller gives up a registration after 30 s."""
NOT_WISHED = 3
"""Status of an engine beyond the number of its machine's cores; systemd lets it be."""


class Engine(IPEngine):  # type: ignore[misc]  # untyped
    """An engine that ends when the controller does not know it."""

    _known = False
    _since = 0.0

    def start_heartbeat(self, *given: Any) -> None:  # noqa: ANN401  ipyparallel's own
        """Go on as every engine does, and ask from now on."""
        super().start_heartbeat(*given)
        self._since = time.monotonic()
        socket = self.context.socket(zmq.DEALER)
        keys = {
            name: getattr(self, name) for name in ("curve_serverkey", "curve_secretkey", "curve_publickey")
        }
        connect(socket, self.registration_url, **keys)
        self._asking = ZMQStream(socket)
        self._asking.on_recv(self._answered)
        PeriodicCallback(self._ask, ASK_S * 1000).start()

    def _ask(self) -> None:
        self.session.send(self._asking, "connection_request")

    def _answered(self, parts: list[bytes]) -> None:
        content = self.session.deserialize(self.session.feed_identities(parts)[1])["content"]
        there = self.ident in content["engines"].values()
        if not there and (self._known or time.monotonic() - self._since > JOIN_S):
            self.log.error("The controller does not know this engine; it ends, and a new one joins")
            os._exit(1)  # not by what a user's program may have registered for the end
        self._known = self._known or there


def config(settings: Settings, number: int) -> Config:
    """Return the configuration of an engine, by its number on this machine."""
    found = Config()
    found.Session.session = name_of(settings.node, number, os.urandom(4).hex())
    found.IPEngine.enable_nanny = False  # systemd looks after it
    found.IPEngine.timeout = 60
    found.IPEngine.max_heartbeat_misses = 10
    return found


def main() -> int:
    """Work until it is ended."""
    settings, number = Settings.load(), int(sys.argv[1])
    if number > settings.engines:
        return NOT_WISHED
    app = Engine(config=config(settings, number))
    app.connection_info_env = json.dumps(settings.for_engines())
    app.initialize([])
    app.start()
    return 0
