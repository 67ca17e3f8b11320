"""The archives that Flintrock installs, packed from this project's downloads; and a server for nodes."""

from __future__ import annotations

import http.server
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from muster_node import artifacts
from provision.core.paths import PROJECT
from provision.images import cache
from provision.state.timeline import ConsoleReporter

HERE = Path(__file__).parent
LOG4J = """\
log4j.rootLogger=INFO,console
log4j.appender.console=org.apache.log4j.ConsoleAppender
log4j.appender.console.layout=org.apache.log4j.PatternLayout
log4j.appender.console.layout.ConversionPattern=%d{ISO8601} %p %c: %m%n
"""


def versions() -> dict[str, str]:
    """Return what this project installs, by name."""
    found = yaml.safe_load((PROJECT / "group_vars" / "all" / "versions.yml").read_text(encoding="utf-8"))
    return {name: str(version) for name, version in found["versions"].items()}


def pack(folder: Path) -> dict[str, Path]:
    """Return an archive of Hadoop and one of Spark, laid out as their own are; their folders lie in `folder`.

    Raises CommandFailed: something is not in the cache yet and could not be had.
    """
    cache.fetch_all(ConsoleReporter())
    return {"hadoop": _packed(_hadoop(folder / "hadoop")), "spark": _packed(_spark(folder / "spark"))}


def _hadoop(to: Path) -> Path:
    artifacts.install(cache.LOCK, "hadoop", to, [cache.cache_folder()], cache.default_registries())
    _put(HERE / "hdfs", to / "bin" / "hdfs")
    for name in ("start-dfs.sh", "stop-dfs.sh"):
        _put(HERE / "dfs.sh", to / "sbin" / name)
    (to / "conf").mkdir()
    (to / "conf" / "log4j.properties").write_text(LOG4J)
    return to


def _spark(to: Path) -> Path:
    lines = artifacts.read_lock(cache.LOCK.read_text(encoding="utf-8"))
    (whole,) = (one for one in lines if one.component == "spark" and one.kind == "pypi")
    archive = cache.cache_folder() / whole.sha256
    for part, place, strip in (("deps", to, 2), ("pyspark", to / "python", 1), ("lib", to / "python", 1)):
        place.mkdir(exist_ok=True)
        words = ["tar", "xzf", str(archive), "-C", str(place), f"--strip-components={strip}"]
        subprocess.run([*words, "--wildcards", f"*/{part}/*"], check=True)
    _put(HERE / "start-all.sh", to / "sbin" / "start-all.sh")
    return to


def _put(source: Path, target: Path) -> None:
    target.parent.mkdir(exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(0o755)


def _packed(folder: Path) -> Path:
    """Return the archive of a folder, which goes."""
    archive = folder.with_name(f"{folder.name}-{versions()[folder.name]}.tgz")
    words = ["tar", "-I", "gzip -1", "-cf", str(archive), "-C", str(folder.parent), folder.name]
    subprocess.run(words, check=True)
    shutil.rmtree(folder)
    return archive


@contextmanager
def served(archives: Mapping[str, Path]) -> Iterator[dict[str, str]]:
    """Serve files that lie in one folder, to this computer and its nodes; yields their addresses by name."""
    folder = next(iter(archives.values())).parent
    handler = partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer((own_address(), 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        host, port = server.server_address[:2]
        try:
            yield {name: f"http://{host!s}:{port}/{path.name}" for name, path in archives.items()}
        finally:
            server.shutdown()


def own_address() -> str:
    """Return the address that this computer has in its network: its nodes reach it there. Raises OSError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing
        return str(probe.getsockname()[0])


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def copyfile(self, source: Any, outputfile: Any) -> None:  # noqa: ANN401
        """Send a file, until whoever has asked goes: Flintrock only looks whether it is there."""
        try:
            shutil.copyfileobj(source, outputfile, 1 << 20)
        except ConnectionError:
            self.close_connection = True
