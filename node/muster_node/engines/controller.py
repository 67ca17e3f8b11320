"""`muster-controller`: hands out work to engines, and notes for `muster-idle` that there is some."""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path

from ipyparallel.controller.app import IPController
from tornado.ioloop import PeriodicCallback
from traitlets.config import Config

from muster_node.engines.settings import CLIENT_PORTS, ENGINE_PORTS, INTERNAL_PORTS, REGISTRATION, Settings

USED = Path("/run/muster-used/engines")
"""Touched while there is work; there is no such folder where nobody asks for it."""
LOOK_S = 5.0


class Controller(IPController):  # type: ignore[misc]  # untyped
    """A controller that notes its work."""

    _done = 0

    def start(self) -> None:
        """Serve until it is ended."""
        PeriodicCallback(self.note, LOOK_S * 1000).start()
        super().start()

    def note(self) -> None:
        """Touch the file when work waits, runs, or has ended since the last look."""
        done = len(self.hub.all_completed)
        if self.hub.pending or self.hub.unassigned or done != self._done:
            with suppress(OSError):
                USED.touch()
        self._done = done


def config(settings: Settings) -> Config:
    """Return the controller's configuration."""
    found = Config()
    found.IPController.engine_ip = settings.controller
    found.IPController.client_ip = "127.0.0.1"
    found.IPController.location = "127.0.0.1"
    found.IPController.engine_ports = [REGISTRATION, *ENGINE_PORTS]
    found.IPController.client_ports = list(CLIENT_PORTS.values())
    found.IPController.ports = list(INTERNAL_PORTS)
    found.IPController.broadcast_scheduler_depth = 0
    found.IPController.db_class = "NoDB"
    found.IPController.log_level = logging.WARNING  # each question of an engine is a line otherwise
    found.Session.key = settings.key.encode()  # else encryption would leave messages unsigned
    found.IPController.curve_publickey = settings.public.encode()
    found.IPController.curve_secretkey = settings.secret.encode()
    found.IPController.enable_curve = True
    return found


def main() -> int:
    """Serve."""
    app = Controller(config=config(Settings.load()))
    app.initialize([])
    app.start()
    return 0
