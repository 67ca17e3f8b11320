"""Artifacts: resumed, retried, verified, unpacked; against an HTTP server on the loopback interface."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from muster_node import artifacts
from muster_node.artifacts import Artifact, ArtifactError, fetch, fetch_each, install, read_lock
from provision.images.cache import LOCK
from provision.images.lock import maven_path

BODY = bytes(range(256)) * 4096


class Registry(ThreadingHTTPServer):
    """Serves `files`; `faults` are statuses given first, `cut` the bytes after which connections end."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.faults: list[int] = []
        self.cut: list[int] = []
        self.ranges: list[str] = []
        self.asked = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class Handler(BaseHTTPRequestHandler):
    server: Registry

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.server.asked += 1
        if self.server.faults:
            return self.send_error(self.server.faults.pop(0))
        if self.path not in self.server.files:
            return self.send_error(404)
        body = self.server.files[self.path]
        wanted = self.headers.get("Range", "")
        self.server.ranges.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        end = self.server.cut.pop(0) if self.server.cut else len(body)
        self.wfile.write(body[start:end])
        return None


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def artifact(
    body: bytes = BODY, path: str = "org/one/1/one-1.jar", kind: str = "maven", component: str = "hadoop"
) -> Artifact:
    return Artifact(component, kind, hashlib.sha256(body).hexdigest(), len(body), path)


def get(one: Artifact, cache: Path, registry: Registry) -> Path:
    return fetch(one, cache, {"maven": registry.url, "pypi": registry.url + "simple/"}, pause=lambda _: None)


def test_a_file_is_fetched_once(registry: Registry, tmp_path: Path) -> None:
    registry.files["/org/one/1/one-1.jar"] = BODY
    assert get(artifact(), tmp_path, registry).read_bytes() == BODY
    registry.files.clear()
    assert get(artifact(), tmp_path, registry).name == artifact().sha256


def test_a_broken_connection_is_resumed(registry: Registry, tmp_path: Path) -> None:
    registry.files["/org/one/1/one-1.jar"] = BODY
    registry.cut = [1000]
    assert get(artifact(), tmp_path, registry).read_bytes() == BODY
    assert registry.ranges == ["", "bytes=1000-"]


def test_passing_faults_are_retried(registry: Registry, tmp_path: Path) -> None:
    registry.files["/org/one/1/one-1.jar"] = BODY
    registry.faults = [503, 500]
    assert get(artifact(), tmp_path, registry).read_bytes() == BODY


def test_after_the_last_attempt_one_line_names_the_file(registry: Registry, tmp_path: Path) -> None:
    registry.faults = [503] * artifacts.ATTEMPTS
    with pytest.raises(ArtifactError, match=r"one-1\.jar could not be fetched from http://127") as caught:
        get(artifact(), tmp_path, registry)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_not_asked_for_again(registry: Registry, tmp_path: Path) -> None:
    paused: list[float] = []
    with pytest.raises(ArtifactError, match="404"):
        fetch(artifact(), tmp_path, {"maven": registry.url}, pause=paused.append)
    assert paused == []


def test_a_wrong_digest_deletes_the_file_and_says_so(registry: Registry, tmp_path: Path) -> None:
    registry.files["/org/one/1/one-1.jar"] = BODY[::-1]
    with pytest.raises(ArtifactError, match=r"one-1\.jar .*SHA-256.*the file was deleted"):
        get(artifact(), tmp_path, registry)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_cache_is_healed(registry: Registry, tmp_path: Path) -> None:
    registry.files["/org/one/1/one-1.jar"] = BODY
    (tmp_path / artifact().sha256).write_bytes(BODY[::-1])
    assert get(artifact(), tmp_path, registry).read_bytes() == BODY


def test_pypi_files_are_found_through_the_index(registry: Registry, tmp_path: Path) -> None:
    page = b'<a href="../../files/ab/thing-1.tar.gz#sha256=00" data-x="1">thing-1.tar.gz</a>'
    registry.files |= {"/simple/thing/": page, "/files/ab/thing-1.tar.gz": BODY}
    one = artifact(path="thing/thing-1.tar.gz", kind="pypi")
    assert get(one, tmp_path, registry).read_bytes() == BODY


def test_many_files_with_progress(registry: Registry, tmp_path: Path) -> None:
    wanted = [artifact(BODY[n:], f"g/{n}.jar") for n in range(12)]
    registry.files = {f"/g/{n}.jar": BODY[n:] for n in range(12)}
    said: list[str] = []
    found = fetch_each(wanted, tmp_path, {"maven": registry.url}, said.append)
    assert {one: path.read_bytes() for one, path in found.items()} == {
        one: BODY[n:] for n, one in enumerate(wanted)
    }
    assert said[-1].startswith("11 of 11 MiB")


def test_after_one_file_failed_no_other_is_begun(registry: Registry, tmp_path: Path) -> None:
    """A registry out of reach costs one file's attempts, not those of a hundred files."""
    wanted = [artifact(BODY[n:], f"g/{n}.jar") for n in range(200)]
    with pytest.raises(ArtifactError, match=r"\.jar could not be fetched"):
        fetch_each(wanted, tmp_path, {"maven": registry.url})
    assert registry.asked < 100


@pytest.mark.parametrize(
    "line", ["hadoop maven abc 1 p", "hadoop svn " + "0" * 64 + " 1 p", "x", "h maven " + "0" * 64 + " x p"]
)
def test_a_damaged_lock_names_the_line(line: str) -> None:
    with pytest.raises(ArtifactError, match="line 2 is damaged"):
        read_lock(f"# head\n{line}\n")


def test_the_shipped_lock_fits_the_versions() -> None:
    found = read_lock(LOCK.read_text())
    assert len({one.sha256 for one in found}) == len(found) > 100
    versions = LOCK.with_name("versions.yml").read_text()
    assert any(
        f"hadoop: {one.path.split('/')[-2]}" in versions for one in found if "hadoop-hdfs-client" in one.path
    )
    assert any(one.name == f"pyspark-{version}.tar.gz" for one in found for version in versions.split())


def tar_of(files: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as tar:
        for name, body in files.items():
            member = tarfile.TarInfo(f"pyspark-9/{name}")
            member.size = len(body)
            tar.addfile(member, io.BytesIO(body))
    return target.getvalue()


def zip_of(files: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as jar:
        for name, body in files.items():
            jar.writestr(name, body)
    return target.getvalue()


def lock_of(cache: Path, bodies: dict[str, bytes], kind: str, component: str) -> Path:
    lines = []
    for path, body in bodies.items():
        one = artifact(body, path, kind, component)
        (cache / one.sha256).write_bytes(body)
        lines.append(f"{component} {kind} {one.sha256} {one.size} {path}")
    lock = cache / "lock"
    lock.write_text("\n".join(lines))
    return lock


def test_hadoop_is_jars_and_web_pages(tmp_path: Path) -> None:
    tests = zip_of({"webapps/hdfs/index.html": b"page", "org/Test.class": b"no"})
    lock = lock_of(tmp_path, {"a/a-1.jar": b"jar", "h/h-1-tests.jar": tests}, "maven", "hadoop")
    install(lock, "hadoop", tmp_path / "opt", [tmp_path], {"maven": ""})
    files = {
        str(path.relative_to(tmp_path / "opt")) for path in (tmp_path / "opt").rglob("*") if path.is_file()
    }
    assert files == {"artifacts.held", "lib/a-1.jar", "webapps/hdfs/index.html"}


def test_spark_gets_its_layout_without_what_is_never_run(tmp_path: Path) -> None:
    archive = tar_of(
        {
            "deps/bin/spark-submit": b"#!",
            "deps/bin/spark-submit.cmd": b"no",
            "deps/jars/spark-core_2.13-9.jar": b"jar",
            "deps/jars/kubernetes-client-1.jar": b"no",
            "deps/examples/x.py": b"no",
            "pyspark/__init__.py": b"x = 1\n",
            "lib/py4j-1-src.zip": zip_of({"py4j/__init__.py": b""}),
        }
    )
    lock = lock_of(tmp_path, {"org/aws/aws-1.jar": b"jar"}, "maven", "s3a")
    more = lock.read_text()
    lock = lock_of(tmp_path, {"pyspark/pyspark-9.tar.gz": archive}, "pypi", "spark")
    lock.write_text(f"{more}\n{lock.read_text()}")
    home = tmp_path / "opt"
    install(lock, "spark+s3a", home, [tmp_path], {"pypi": ""})
    files = {
        str(path.relative_to(home)) for path in home.rglob("*") if path.is_file() and path.suffix != ".pyc"
    }
    assert files == {
        "artifacts.held",
        "bin/spark-submit",
        "jars/aws-1.jar",
        "jars/spark-core_2.13-9.jar",
        "python/pyspark/__init__.py",
        "python/py4j/__init__.py",
    }
    assert list((home / "python/pyspark").rglob("*.pyc"))


def test_another_version_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    to = tmp_path / "opt"
    lock = lock_of(tmp_path, {"a/a-1.jar": b"one"}, "maven", "hadoop")
    assert install(lock, "hadoop", to, [tmp_path], {"maven": ""})
    (to / "own").touch()
    assert not install(lock, "hadoop", to, [tmp_path], {"maven": ""})
    assert (to / "own").exists()
    lock = lock_of(tmp_path, {"a/a-2.jar": b"two"}, "maven", "hadoop")
    assert install(lock, "hadoop", to, [tmp_path], {"maven": ""})
    assert [path.name for path in (to / "lib").iterdir()] == ["a-2.jar"]
    assert not (to / "own").exists()


def test_a_damaged_file_in_the_cache_is_not_installed(registry: Registry, tmp_path: Path) -> None:
    lock = lock_of(tmp_path, {"a/a-1.jar": b"jar"}, "maven", "hadoop")
    (tmp_path / hashlib.sha256(b"jar").hexdigest()).write_bytes(b"bad")
    registry.files["/a/a-1.jar"] = b"jar"
    install(lock, "hadoop", tmp_path / "opt", [tmp_path], {"maven": registry.url})
    assert (tmp_path / "opt/lib/a-1.jar").read_bytes() == b"jar"


def test_maven_coordinates_become_paths() -> None:
    assert (
        maven_path("io.netty:netty-x:jar:linux-x86_64:4.1:runtime")
        == "io/netty/netty-x/4.1/netty-x-4.1-linux-x86_64.jar"
    )
