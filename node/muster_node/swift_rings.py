"""Make Swift's three rings: one device, one copy, and the loopback address: the same on every machine."""

from __future__ import annotations

from pathlib import Path

from swift.common.ring import RingBuilder

PART_POWER = 8
PORTS = {"account": 6202, "container": 6201, "object": 6200}


def main() -> None:
    """Write /etc/swift/<server>.ring.gz; the object ring last, since its presence says that all are there."""
    for server, port in PORTS.items():
        builder = RingBuilder(PART_POWER, 1, 1)
        builder.add_dev(
            {
                "region": 1,
                "zone": 1,
                "ip": "127.0.0.1",
                "port": port,
                "replication_ip": "127.0.0.1",
                "replication_port": port,
                "device": "d1",
                "weight": 1.0,
                "meta": "",
            }
        )
        builder.rebalance(seed=1)
        path = Path(f"/etc/swift/{server}.ring.gz")
        builder.get_ring().save(str(path))
        path.chmod(0o644)


if __name__ == "__main__":
    main()
