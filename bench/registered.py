"""Waits until the masters count enough DataNodes and Workers: `python registered.py ADDRESS NUMBER`.

It asks the NameNode (JMX) and Spark's master (JSON) five times a second, inside the network of their machine.
"""

from __future__ import annotations

import json
import sys
import time
import urllib.request
from typing import Any

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ask(url: str) -> Any:  # noqa: ANN401
    """Return the JSON at an address. Raises OSError, ValueError."""
    with OPENER.open(url, timeout=5) as answer:
        return json.load(answer)


def registered(address: str) -> int:
    """Return how many machines have both daemons registered; 0 while a master does not answer."""
    bean = "Hadoop:service=NameNode,name=FSNamesystemState"
    try:
        beans = ask(f"http://{address}:9870/jmx?qry={bean}")["beans"]
        workers = ask(f"http://{address}:8080/json/")["aliveworkers"]
    except (OSError, ValueError):
        return 0
    return min(int(workers), *(int(one["NumLiveDataNodes"]) for one in beans)) if beans else 0


if __name__ == "__main__":
    while registered(sys.argv[1]) < int(sys.argv[2]):
        time.sleep(0.2)
