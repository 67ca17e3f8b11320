"""Where the controller is, its ports and keys: the same for all engines and clients of a cluster.

Traffic is encrypted with CurveZMQ, and who does not know the controller's public key is not let in. Messages
are signed besides, as they are without encryption.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SETTINGS = Path("/etc/muster/engines.json")
WISHED = Path("/etc/muster/engines-wished.json")
"""On the master: how many engines each machine has. In a file of its own: growing restarts nothing."""
REGISTRATION, *ENGINE_PORTS = range(7110, 7118)
_OF_ENGINES = ("control", "mux", "task", "iopub", "hb_ping", "hb_pong")
CLIENT_PORTS = {
    "control": 7120,
    "mux": 7121,
    "task": 7122,
    "iopub": 7123,
    "notification": 7124,
    "broadcast": 7125,
}
"""Where clients connect, besides REGISTRATION; in the order in which ipyparallel takes them."""
INTERNAL_PORTS = (7130,)
LOOPBACK = "127.0.0.1"
SEPARATOR = "_"
"""Between the parts of an engine's name; a machine's has none."""


@dataclass(frozen=True)
class Settings:
    """What a machine knows.

    Attributes:
        controller: the master's private address, where engines reach it; clients reach it on its loopback.
        node: this machine's name.
        engines: how many of them this machine has.
        key: what messages are signed with.
        public: the controller's public key, in Z85; knowing it is the right to connect.
        secret: its private key, in Z85; '' but on the master.
    """

    controller: str
    node: str
    engines: int
    key: str = field(repr=False)
    public: str = field(repr=False)
    secret: str = field(default="", repr=False)

    @classmethod
    def load(cls, path: Path = SETTINGS) -> Settings:
        """Read this machine's. Raises OSError, ValueError."""
        return cls(**json.loads(path.read_text()))

    def for_engines(self) -> dict[str, Any]:
        """Return how an engine reaches the controller, as ipyparallel's connection files say it."""
        *ports, broadcast = ENGINE_PORTS
        channels: dict[str, Any] = dict(zip(_OF_ENGINES, ports, strict=True))
        channels |= {"registration": REGISTRATION, "broadcast": [broadcast]}
        return self._connection(self.controller, channels)

    def for_clients(self, ports: Mapping[str, int]) -> dict[str, Any]:
        """Return the same for a client of the controller that is reached at these ports of loopback."""
        return self._connection(LOOPBACK, {**ports, "task_scheme": "leastload"})

    def _connection(self, address: str, channels: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "ssh": "",
            "interface": f"tcp://{address}",
            "location": address,
            **channels,
            "key": self.key,
            "curve_serverkey": self.public,
            "pack": "json",
            "unpack": "json",
            "signature_scheme": "hmac-sha256",
        }


def name_of(node: str, number: int, start: str) -> str:
    """Return the name of an engine: its machine, its number there, and what tells its starts apart."""
    return SEPARATOR.join((node, str(number), start))


def machine_of(engine: str) -> str:
    """Return the machine that an engine runs on."""
    return engine.split(SEPARATOR, maxsplit=1)[0]
