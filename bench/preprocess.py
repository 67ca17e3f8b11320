"""Times preprocessing as an executor does it against the same functions in a plain loop; see README.md."""

from __future__ import annotations

import argparse
import importlib
import json
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, ClassVar

import numpy
from PIL import Image

from muster_node import sets
from muster_node.stores.base import Settings

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "jobs" / "preprocess"))
SIZES = sets.SIZES
MEMORY = 256 << 20
DATASET = "bench"


def photographs(folder: Path, count: int) -> list[str]:
    """Fill a folder with photographs: those of MUSTER_TEST_PHOTOGRAPHS, else made ones of 3000 x 2000."""
    known = sorted(Path(os.environ["MUSTER_TEST_PHOTOGRAPHS"]).glob("*.jp*g")) if given() else []
    names = []
    for number in range(count):
        names.append(f"{number:05d}.jpeg")
        if known:
            shutil.copy(known[number % len(known)], folder / names[-1])
        elif number < 4:
            made(number).save(folder / names[-1], quality=92)
        else:
            shutil.copy(folder / names[number % 4], folder / names[-1])
    return names


def given() -> bool:
    """Say whether there are real photographs."""
    return bool(os.environ.get("MUSTER_TEST_PHOTOGRAPHS"))


def made(seed: int) -> Image.Image:
    """Return a picture as busy as a photograph: a bright disc with noise on black."""
    random = numpy.random.default_rng(seed)
    rows, columns = numpy.mgrid[:2000, :3000]
    disc = (rows - 1000) ** 2 + (columns - 1500) ** 2 < 950**2
    noise = random.normal(0, 12, (2000, 3000, 3)) + numpy.array([180, 90, 40])
    return Image.fromarray(numpy.where(disc[:, :, None], noise, 0).clip(0, 255).astype(numpy.uint8))


class Shown(BaseHTTPRequestHandler):
    """As much of S3 as an executor needs: files of a folder, and what takes in parts and forgets them."""

    protocol_version = "HTTP/1.1"
    folder: ClassVar[Path]

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Send a file."""
        content = (self.folder / self.path.partition("?")[0].removeprefix("/muster/")).read_bytes()
        self._answer(content)

    def do_PUT(self) -> None:
        """Take a body in."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(b"")

    def _answer(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("ETag", '"0"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def serve(folder: str, pipe: Connection) -> None:
    """Show a folder as an object store; a process of its own, so that its work is nobody else's."""
    Shown.folder = Path(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Shown)
    pipe.send(server.server_address[1])
    server.serve_forever()


def measured(work: Callable[..., None], *arguments: object) -> dict[str, float]:
    """Run `work` in a fresh process; return its wall and CPU seconds and the most memory that it had, in MiB.

    What it imports is not counted as time.
    """
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=timed, args=(theirs, work, *arguments))
    process.start()
    found: dict[str, float] = ours.recv()
    process.join()
    return found


def timed(pipe: Connection, work: Callable[..., None], *arguments: object) -> None:
    """See `measured`; this is the process."""
    for name in ("parts", "writers", "pictures", "tasks"):
        importlib.import_module(name)
    wall, cpu = time.monotonic(), time.process_time()
    work(*arguments)
    used = {"wall": time.monotonic() - wall, "cpu": time.process_time() - cpu}
    pipe.send(used | {"mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024})


def plain_loop(folder: str, names: list[str], sizes: tuple[int, ...], kind: str) -> None:
    """Prepare pictures one after another, from files, and write their rows."""
    part = part_of(names, sizes, kind)
    for image in part.task.images:
        prepare = importlib.import_module("parts").prepare_one
        part.add(image, prepare((Path(folder) / image.name).read_bytes(), part.recipe, MEMORY))
    for files in part.files.values():
        for file in files:
            file.finish().file.close()


def executor(settings: dict[str, Any], names: list[str], sizes: tuple[int, ...], kind: str) -> None:
    """Do what a task of Spark does: fetch, prepare, write, send."""
    parts = importlib.import_module("parts")
    parts.Settings.load = lambda: Settings(**settings)
    part = part_of(names, sizes, kind)
    parts.make_part(part.task, part.job)


def part_of(names: list[str], sizes: tuple[int, ...], kind: str) -> Any:  # noqa: ANN401  of jobs/preprocess
    """Return a part of these images."""
    tasks, parts = importlib.import_module("tasks"), importlib.import_module("parts")
    images = tuple(tasks.Image(name, label="0", subject=name) for name in names)
    options = tasks.Options(DATASET, kind=kind)
    job = tasks.Job(options, {"0": 0}, {}, {}, {}, MEMORY)
    return parts.Part(tasks.Task(sets.TRAIN, 0, sizes, images), job)


def rate(images: int, used: dict[str, float]) -> str:
    """Return images a second of wall and of processor time."""
    return f"{images / used['wall']:6.1f} images/s, {images / used['cpu']:6.1f} a CPU second"


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--images", type=int, default=48)
    parser.add_argument("--kind", choices=("plain", "eye"), default="eye")
    arguments = parser.parse_args()
    count, kind = arguments.images, arguments.kind
    with tempfile.TemporaryDirectory(dir="/var/tmp") as temporary:
        images = Path(temporary) / DATASET / "raw" / "images"
        images.mkdir(parents=True)
        names = photographs(images, count)
        ours, theirs = multiprocessing.Pipe()
        server = multiprocessing.get_context("spawn").Process(
            target=serve, args=(temporary, theirs), daemon=True
        )
        server.start()
        store = {
            "endpoint": f"http://127.0.0.1:{ours.recv()}", "access_key": "bench",
            "secret_key": "bench-secret", "container": "muster",
        }  # fmt: skip
        print(f"{os.cpu_count()} cores; {count} {'real' if given() else 'made'} photographs, kind {kind}")
        loop = measured(plain_loop, str(images), names, SIZES, kind)
        print(f"plain loop, five sizes        {rate(count, loop)}", flush=True)
        five = measured(executor, store, names, SIZES, kind)
        share = loop["cpu"] / five["cpu"]
        print(f"executor, five sizes          {rate(count, five)}: {share:.0%} of the loop's a CPU second, "
              f"{loop['wall'] / five['wall']:.0%} by the clock", flush=True)  # fmt: skip
        one = measured(executor, store, names, SIZES[-1:], kind)
        print(f"executor, the largest alone   {rate(count, one)}: five take {five['cpu'] / one['cpu']:.2f} x "
              f"its CPU time, {five['wall'] / one['wall']:.2f} x by the clock", flush=True)  # fmt: skip
        few = measured(executor, store, names[:8], SIZES, kind)
        print(f"most memory of the process    {few['mib']:.0f} MiB with 8 images in a part, "
              f"{five['mib']:.0f} MiB with {count}")  # fmt: skip
        print(json.dumps({"loop": loop, "five": five, "one": one, "few": few}))
        server.terminate()


if __name__ == "__main__":
    main()
