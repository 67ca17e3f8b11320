"""Maintainer's command: `python -m provision.images.lock` makes artifacts.lock anew from versions.yml.

Needs Maven on the PATH (it resolves Hadoop's dependency tree); users of the lock need none of it.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

from muster_node.artifacts import Artifact, digest, locate
from provision.core.errors import CommandFailed
from provision.images.cache import LOCK, default_registries

PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1"
HEAD = """\
# Every jar and archive that nodes get. Made by `python -m provision.images.lock`; do not edit.
# Line: component kind sha256 size path; maven: path in the repository, pypi: project/file of the index.
"""
# Native code for other systems than Linux, and what no daemon or client of ours loads.
LEFT_OUT = re.compile(r"osx-|netty-.*(macos|kqueue|riscv64|rxtx|sctp|udt)|listenablefuture|j2objc")
# What S3A needs of Amazon's SDK; `bundle`, which hadoop-aws asks for, has all of it in 600 MB.
SDK = "software.amazon.awssdk"
SDK_MODULES = ("s3", "s3-transfer-manager", "apache-client", "netty-nio-client")
S3A = re.compile(r"software/amazon/|org/apache/hadoop/hadoop-aws/|org/reactivestreams/")
"""The rest (Netty, Apache's HTTP client, logging) Hadoop and Spark have of their own."""
POM = """<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>muster</groupId><artifactId>muster</artifactId><version>1</version>
<dependencies>{}</dependencies></project>"""
DEPENDENCY = (
    """<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version>{}</dependency>"""
)
ALONE = """<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions>"""
HADOOP = "org.apache.hadoop"


def maven_path(coordinates: str) -> str:
    """`group:artifact:jar[:classifier]:version:scope` as a path in the repository."""
    group, artifact, kind, *classifier, version, _scope = coordinates.split(":")
    name = "-".join([artifact, version, *classifier])
    return f"{group.replace('.', '/')}/{artifact}/{version}/{name}.{kind}"


def resolved(dependencies: str) -> list[str]:
    """Coordinates of all that dependencies of a POM bring. Raises CommandFailed when Maven does."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "pom.xml").write_text(POM.format(dependencies))
        run = subprocess.run(
            ["mvn", "-q", "-B", f"{PLUGIN}:list", "-DincludeScope=runtime", "-DoutputFile=list"],
            cwd=folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if run.returncode != 0:
            raise CommandFailed(what="Maven could not resolve the jars", output=run.stdout[-2000:])
        return re.findall(r"^\s+(\S+:jar:\S+)", Path(folder, "list").read_text(), re.MULTILINE)


def hadoop_paths(version: str) -> list[str]:
    """Paths of HDFS's jars and their dependencies. Raises CommandFailed when Maven does."""
    wanted = ("hadoop-common", "hadoop-hdfs", "hadoop-hdfs-client")
    found = resolved("".join(DEPENDENCY.format(HADOOP, name, version, "") for name in wanted))
    return sorted(path for path in map(maven_path, found) if not LEFT_OUT.search(path))


def s3a_paths(version: str) -> list[str]:
    """Paths of the jars by which Hadoop reads and writes S3. Raises CommandFailed when Maven does."""
    asked = resolved(DEPENDENCY.format(HADOOP, "hadoop-aws", version, ""))
    versions = {tuple(each.split(":")[:2]): each.split(":")[-2] for each in asked}
    sdk = versions[SDK, "bundle"]
    streams = ("software.amazon.s3.analyticsaccelerator", "analyticsaccelerator-s3")
    found = resolved(
        DEPENDENCY.format(HADOOP, "hadoop-aws", version, ALONE)
        + DEPENDENCY.format(*streams, versions[streams], ALONE)
        + "".join(DEPENDENCY.format(SDK, name, sdk, "") for name in SDK_MODULES)
    )
    return sorted(path for path in map(maven_path, found) if S3A.match(path))


def pin(component: str, kind: str, path: str, folder: Path) -> Artifact:
    """Download once, without a digest to compare with, and note what came."""
    wish = Artifact(component, kind, "0" * 64, 0, path)
    url = locate(wish, default_registries())
    target = folder / hashlib.sha256(path.encode()).hexdigest()
    subprocess.run(["curl", "-sSfL", "--retry", "5", "-o", str(target), url], check=True)
    return Artifact(component, kind, digest(target), target.stat().st_size, path)


def main() -> int:
    """Write the lock. Returns the exit status."""
    versions = yaml.safe_load(LOCK.with_name("versions.yml").read_text())["versions"]
    hadoop, spark = versions["hadoop"], versions["spark"]
    wanted = [("hadoop", "maven", path) for path in hadoop_paths(hadoop)]
    base = "org/apache/hadoop/hadoop-hdfs"
    wanted.append(("hadoop", "maven", f"{base}/{hadoop}/hadoop-hdfs-{hadoop}-tests.jar"))
    wanted.append(("spark", "pypi", f"pyspark/pyspark-{spark}.tar.gz"))
    wanted += [("s3a", "maven", path) for path in s3a_paths(hadoop)]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(8) as pool:
        pinned = list(pool.map(lambda one: pin(one[0], one[1], one[2], Path(folder)), wanted))
    lines = [f"{one.component} {one.kind} {one.sha256} {one.size} {one.path}" for one in pinned]
    LOCK.write_text(HEAD + "\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
