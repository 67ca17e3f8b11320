"""Times what the nodes' store clients cost a process: to start, and for each object; see README.md."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path

from bench.journey import Table, machine
from muster_node.stores.base import Settings
from muster_node.stores.open import open_store
from tests.fakes.servers import Server, StoreHandler, SwiftHandler

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = """
import json, sys
from muster_node.stores.base import Settings
from muster_node.stores.open import open_store
"""
FIRST = f"{LIBRARY}open_store(Settings(**json.loads(sys.argv[1]))).get('set/0')"
SIZE = 20_000
SERVERS = {"s3": StoreHandler, "swift": SwiftHandler}


def serve(kind: str, count: int, parent: Connection) -> None:
    """Serve so many objects until the parent hangs up; what it costs is not the client's."""
    server = Server(SERVERS[kind])
    server.token_serves = sys.maxsize
    home = "/muster" if kind == "s3" else "/v1/me/muster"
    server.files = {f"{home}/set/{number}": os.urandom(SIZE) for number in range(count)}
    parent.send(server.url)
    parent.recv()


def seconds_of(rounds: int, *words: str) -> float:
    """Return the least processor time of a fresh Python that runs a program, its own start included."""
    took = []
    for _ in range(rounds):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", *words], cwd=ROOT / "node", check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(took)


def ms_per_get(settings: Settings, count: int, threads: int, rounds: int) -> float:
    """Return the least processor time of this process for one GET, in milliseconds."""
    store, took = open_store(settings), []
    for _ in range(rounds):
        begin = time.process_time()
        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(store.get, [f"set/{number}" for number in range(count)]):
                pass
        took.append((time.process_time() - begin) / count * 1e3)
    return min(took)


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8, help="the best of so many counts")
    parser.add_argument("--objects", type=int, default=500)
    options = parser.parse_args()
    table = Table()
    print(machine())
    alone = seconds_of(options.rounds, LIBRARY)
    table.add("Python with the nodes' library", f"{alone:.2f} s")
    for kind in SERVERS:
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        child = context.Process(target=serve, args=(kind, options.objects, there), daemon=True)
        child.start()
        url = here.recv()
        settings = Settings(url, "key", "secret", "muster")
        if kind == "swift":
            settings = Settings(f"{url}/auth/v1.0", "me:you", "secret", "muster", kind=kind)
        first = seconds_of(options.rounds, FIRST, json.dumps(asdict(settings)))
        table.add(f"{kind}: start and first object", f"+{first - alone:.2f} s")
        for threads in (1, 8):
            ms = ms_per_get(settings, options.objects, threads, options.rounds)
            table.add(f"{kind}: an object of 20 KB, {threads} threads", f"{ms:.2f} ms")
        here.send(None)
        child.join()
    print(f"processor time of the client\n{table}")


if __name__ == "__main__":
    main()
