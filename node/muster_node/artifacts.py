"""Fetch, verify and unpack the archives of artifacts.lock.

Runs in two places: as a library on the control machine (see `artifact_cache`), and as a program that
needs the standard library alone on nodes (`python3 artifacts.py install …`), where it takes files from the
read-only cache that the machine was given, or fetches them itself. Registries are passed in.
"""

from __future__ import annotations

import argparse
import compileall
import hashlib
import html.parser
import re
import shutil
import sys
import tarfile
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

HELD = "artifacts.held"  # file of an installed component: which artifacts it was made of
PARALLEL = 8
ATTEMPTS = 5
FIRST_PAUSE_S = 1.0  # doubled after every failed attempt
TIMEOUT_S = 30.0  # of one read from the network
BLOCK = 1 << 20
PY4J = "python/py4j.zip"
# Where the parts of the Spark archive go; left out: what would climb, other schedulers, other systems, R, the
# Connect shell.
PLACES = (
    ("deps/bin/", "bin/"),
    ("deps/jars/", "jars/"),
    ("pyspark/", "python/pyspark/"),
    ("lib/py4j-", PY4J),
    ("LICENSE", "LICENSE"),
    ("NOTICE", "NOTICE"),
)
LEFT_OUT = re.compile(
    r"\.\./|\.cmd$|bin/(sparkR|docker|run-example|spark-connect|spark-pipelines)|connect-repl/"
    r"|kubernetes|volcano|vertx|zjsonpatch|spark-yarn|osx-|-windows-|kqueue|riscv64"
)


class ArtifactError(Exception):
    """A file could not be had. `str(error)` is one line that names it; `remedy` says what to do."""

    def __init__(self, what: str, remedy: str) -> None:
        self.what = what
        self.remedy = remedy
        super().__init__(f"{what}. {remedy}")


@dataclass(frozen=True)
class Artifact:
    """One line of the lock.

    `kind`: maven or pypi; `path`: in the repository (pypi: project/file); `size` in bytes.
    """

    component: str
    kind: str
    sha256: str
    size: int
    path: str

    @property
    def name(self) -> str:
        """File name."""
        return PurePosixPath(self.path).name


def read_lock(text: str) -> list[Artifact]:
    """Parse a lock: `component kind sha256 size path` per line, `#` comments.

    Raises ArtifactError on a bad line.
    """
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.split("#", 1)[0].split()
        if not fields:
            continue
        sound = len(fields) == 5 and fields[1] in ("maven", "pypi") and len(fields[2]) == 64
        if not sound or not fields[3].isdigit():
            raise ArtifactError(f"artifacts.lock: line {number} is damaged", "Restore the file from git")
        found.append(Artifact(fields[0], fields[1], fields[2], int(fields[3]), fields[4]))
    return found


def digest(path: Path) -> str:
    """SHA-256 of a file as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Links(html.parser.HTMLParser):
    """Collects href by link text, for a PEP 503 page."""

    def __init__(self) -> None:
        super().__init__()
        self.href = ""
        self.found: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.href = dict(attrs).get("href") or ""

    def handle_data(self, data: str) -> None:
        if self.href and data.strip():
            self.found[data.strip()] = self.href
            self.href = ""


def locate(artifact: Artifact, registries: Mapping[str, str]) -> str:
    """URL of a file. For PyPI this reads the project's page of the index. Raises OSError."""
    base = registries[artifact.kind].rstrip("/") + "/"
    if artifact.kind == "maven":
        return base + artifact.path
    page = base + artifact.path.split("/")[0] + "/"
    request = urllib.request.Request(page, headers={"Accept": "text/html"})  # noqa: S310  configured
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
        links = _Links()
        links.feed(answer.read().decode())
        if artifact.name not in links.found:
            raise FileNotFoundError(f"{page} does not list {artifact.name}")
        return urllib.parse.urljoin(str(answer.url), links.found[artifact.name])


def _download(url: str, part: Path, size: int) -> None:
    """Continue `part` up to `size` bytes. Raises OSError when the connection ends early."""
    have = part.stat().st_size if part.exists() else 0
    if have > size:
        part.unlink()
        have = 0
    if have == size:
        return
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})  # noqa: S310
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
        resumed = answer.status == 206
        with part.open("ab" if resumed else "wb") as file:
            shutil.copyfileobj(answer, file, BLOCK)
    if part.stat().st_size < size:
        raise ConnectionError(f"the connection ended after {part.stat().st_size} of {size} bytes")


def fetch(
    artifact: Artifact,
    cache: Path,
    registries: Mapping[str, str],
    pause: Callable[[float], None] = time.sleep,
) -> Path:
    """Return the cached file of `artifact`, downloading what is missing of it.

    Raises ArtifactError after the last attempt, or when the content is not what the lock says (file deleted).
    """
    target = cache / artifact.sha256
    if target.is_file() and target.stat().st_size == artifact.size and digest(target) == artifact.sha256:
        return target
    part = cache / f"{artifact.sha256}.part"
    for attempt in range(1, ATTEMPTS + 1):
        try:
            cache.mkdir(parents=True, exist_ok=True)
            _download(locate(artifact, registries), part, artifact.size)
            break
        except OSError as error:
            gone = isinstance(error, urllib.error.HTTPError) and error.code in (401, 403, 404, 410)
            local = isinstance(error, PermissionError) or error.errno == 28  # no room
            if attempt == ATTEMPTS or gone or local:
                raise ArtifactError(
                    f"{artifact.name} could not be fetched from {registries[artifact.kind]} ({error})",
                    "What came is kept: run the same command again when the registry can be reached",
                ) from error
            pause(FIRST_PAUSE_S * 2 ** (attempt - 1))
    found = digest(part)
    if found != artifact.sha256:
        part.unlink()
        raise ArtifactError(
            f"{artifact.name} from {registries[artifact.kind]} has SHA-256 {found[:12]}…, "
            f"not {artifact.sha256[:12]}… as in artifacts.lock; the file was deleted",
            "Run the same command again; if it stays so, do not trust that registry",
        )
    part.chmod(0o644)
    part.replace(target)
    return target


def fetch_each(
    artifacts: Iterable[Artifact],
    cache: Path,
    registries: Mapping[str, str],
    said: Callable[[str], None] = lambda _: None,
) -> dict[Artifact, Path]:
    """Fetch in parallel, largest first.

    Raises the first ArtifactError; what has not begun by then is not tried: a registry that is out of reach
    for one file is so for all of them.
    """
    ordered = sorted(artifacts, key=lambda one: -one.size)
    total, done, told = sum(one.size for one in ordered), 0, 0
    found = {}
    with ThreadPoolExecutor(PARALLEL) as pool:
        jobs = {pool.submit(fetch, one, cache, registries): one for one in ordered}
        try:
            for job in as_completed(jobs):
                one = jobs[job]
                found[one] = job.result()
                done += one.size
                if done - told >= total / 10 or done == total:  # ten lines, however many files there are
                    told = done
                    said(f"{done >> 20} of {total >> 20} MiB")
        except ArtifactError:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return found


def _unpack_archive(archive: Path, to: Path, final: Path) -> None:
    """Take what a cluster runs out of the Spark archive, laid out as SPARK_HOME; `to` becomes `final`."""
    with tarfile.open(archive) as tar:
        for member in tar:
            inner = member.name.partition("/")[2]
            places = (there + inner.removeprefix(here) for here, there in PLACES if inner.startswith(here))
            place = next(places, "")
            content = tar.extractfile(member) if member.isfile() and not LEFT_OUT.search(inner) else None
            if place and content:
                target = to / (PY4J if place.startswith(PY4J) else place)
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("wb") as file:
                    shutil.copyfileobj(content, file, BLOCK)
                target.chmod(0o755 if member.mode & 0o100 else 0o644)
    _unpack_jar(to / PY4J, to / "python", "py4j/")
    (to / PY4J).unlink()
    # Python's workers run as an account that may not write there.
    compileall.compile_dir(to / "python", quiet=1, stripdir=str(to), prependdir=str(final))


def _unpack_jar(archive: Path, to: Path, prefix: str) -> None:
    with zipfile.ZipFile(archive) as jar:
        for name in jar.namelist():
            if name.startswith(prefix):
                jar.extract(name, to)


def install(lock: Path, component: str, to: Path, caches: list[Path], registries: Mapping[str, str]) -> bool:
    """Put a component into the folder `to`, in place of another version; returns False when it is there.

    `component`: its name in the lock; further ones that belong into the same folder follow, joined by `+`.

    Jars become `lib/<name>`, beside an archive from PyPI `jars/<name>`; of `*-tests.jar` only `webapps/` is
    taken; the archive is unpacked without what a cluster never runs. Raises ArtifactError; cached files are
    verified again.
    """
    wanted = [one for one in read_lock(lock.read_text()) if one.component in component.split("+")]
    held = "".join(f"{one.sha256} {one.name}\n" for one in wanted)
    if (to / HELD).is_file() and (to / HELD).read_text() == held:
        return False
    new, own = to.with_name(f".{to.name}.new"), to.with_name(f".{to.name}.fetched")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    missing = []
    cached = {}
    for artifact in wanted:
        paths = [cache / artifact.sha256 for cache in caches if (cache / artifact.sha256).is_file()]
        if paths and digest(paths[0]) == artifact.sha256:
            cached[artifact] = paths[0]
        else:
            missing.append(artifact)
    cached |= fetch_each(missing, own, registries)
    jars = new / ("jars" if any(artifact.kind == "pypi" for artifact in wanted) else "lib")
    for artifact, path in cached.items():
        if artifact.kind == "pypi":
            _unpack_archive(path, new, to)
        elif artifact.name.endswith("-tests.jar"):
            _unpack_jar(path, new, "webapps/")
        else:
            jars.mkdir(exist_ok=True)
            shutil.copyfile(path, jars / artifact.name)
    shutil.rmtree(own, ignore_errors=True)
    (new / HELD).write_text(held)
    shutil.rmtree(to, ignore_errors=True)
    new.rename(to)
    return True


def main(arguments: list[str] | None = None) -> int:
    """`artifacts.py install` on a node. Returns the exit status."""
    parser = argparse.ArgumentParser(description="Install a component of artifacts.lock.")
    parser.add_argument("verb", choices=["install"])
    parser.add_argument("component")
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--lock", type=Path, required=True)
    parser.add_argument("--cache", type=Path, action="append", default=[])
    parser.add_argument("--maven", default="")
    parser.add_argument("--pypi", default="")
    given = parser.parse_args(arguments)
    try:
        registries = {"maven": given.maven, "pypi": given.pypi}
        if install(given.lock, given.component, given.to, given.cache, registries):
            sys.stdout.write(f"installed {given.component}\n")
    except ArtifactError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
