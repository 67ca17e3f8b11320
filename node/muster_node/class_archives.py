"""Make a component's class path jar and its class-data archive (AppCDS).

A JVM that maps such an archive starts in a third of the processor time. A missing or unfitting archive costs
only time: the JVM then loads classes the ordinary way. So machines that nobody has baked an image for start
their daemons first.

Which classes belong into it, the project's lists say. To make one (`train`, after an upgrade of the component
or of Java; docs/contributing.md) the component is run once for real: daemons and clients on the loopback
interface in a temporary folder, then stopped.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

JAVA = "/usr/bin/java"
DEADLINE_S = 120.0
SMALL_JVM = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx256m"]


def class_path(home: Path) -> Path:
    """Return the jar that stands for all jars of a component."""
    return home / f"{home.name}.jar"


def write_class_path(home: Path, folder: str) -> None:
    """Write that jar, whose manifest names every jar of `folder`, the largest first.

    For each class a JVM looks through the jars in this order, and to make an archive it asks the system for
    each of them: most classes are in the largest.
    """
    jars = sorted((home / folder).glob("*.jar"), key=lambda jar: (-jar.stat().st_size, jar.name))
    names = [f"{folder}/{jar.name}" for jar in jars]
    text = "Class-Path: " + " ".join(names)
    lines = [text[:70], *(" " + text[at : at + 69] for at in range(70, len(text), 69))]
    new = class_path(home).with_suffix(".new")
    with zipfile.ZipFile(new, "w") as jar:
        jar.writestr("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\r\n" + "\r\n".join(lines) + "\r\n\r\n")
    new.rename(class_path(home))


def merged(lists: list[Path]) -> str:
    """Join class lists of several JVMs: without numbers and without classes of private loaders."""
    seen: dict[str, None] = {}
    for path in lists:
        for line in path.read_text(errors="replace").splitlines():
            if line and not line.startswith("#") and " source: " not in line:
                seen[line.split(" id: ")[0]] = None
    return "\n".join(seen) + "\n"


def class_list(home: Path, lists: Path) -> Path:
    """Return the gzipped list of the classes that a component loads."""
    return lists / f"{home.name}.classes.gz"


def dump(home: Path, lists: Path) -> None:
    """Write the archive of a component's classes (hadoop/hadoop.jsa), unless it is there.

    Raises CalledProcessError.
    """
    archive = home / f"{home.name}.jsa"
    if archive.exists():
        return
    new = archive.with_suffix(".new")
    with tempfile.NamedTemporaryFile(dir="/var/tmp", suffix=".classes") as plain:
        plain.write(gzip.decompress(class_list(home, lists).read_bytes()))
        plain.flush()
        subprocess.run(
            [JAVA, "-Xshare:dump", "-XX:+UseG1GC", "-XX:TieredStopAtLevel=1", "-Xmx1g",
             f"-XX:SharedClassListFile={plain.name}",
             f"-XX:SharedArchiveFile={new}", "-Xlog:disable", "-cp", str(class_path(home))],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
    new.chmod(0o644)
    new.rename(archive)


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def wait_for(what: str, condition: Callable[[], bool]) -> None:
    """Poll until `condition` holds. Raises TimeoutError, naming `what`."""
    end = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not come up in {DEADLINE_S:.0f} s")
        time.sleep(0.1)


def fetched(url: str) -> str:
    """Body of a page, '' while it cannot be had."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310  loopback
            return str(answer.read().decode())
    except (OSError, urllib.error.URLError):
        return ""


@contextmanager
def running(commands: list[list[str]], environment: Mapping[str, str], log: Path) -> Iterator[None]:
    """Run daemons; end them at the end."""
    with log.open("a") as sink:
        started = [subprocess.Popen(one, env=environment, stdout=sink, stderr=sink) for one in commands]
        try:
            yield
        finally:
            for process in started:
                process.send_signal(signal.SIGTERM)
            for process in started:
                process.wait(timeout=60)


def properties_xml(values: Mapping[str, object]) -> str:
    """A Hadoop configuration file."""
    entry = "<property><name>{}</name><value>{}</value></property>"
    body = "".join(entry.format(key, value) for key, value in values.items())
    return f"<configuration>{body}</configuration>"


def train_hadoop(home: Path, jar: Path, work: Path) -> None:
    """A NameNode, a DataNode and the shell commands that people use."""
    rpc, web, *others = free_ports(5)
    conf = work / "conf"
    conf.mkdir()
    (conf / "core-site.xml").write_text(properties_xml({"fs.defaultFS": f"hdfs://127.0.0.1:{rpc}"}))
    (conf / "include").write_text("127.0.0.1\nlocalhost\n")
    keys = ("dfs.datanode.address", "dfs.datanode.http.address", "dfs.datanode.ipc.address")
    (conf / "hdfs-site.xml").write_text(
        properties_xml(
            {
                "dfs.namenode.http-address": f"127.0.0.1:{web}",
                "dfs.namenode.name.dir": f"file://{work}/name",
                "dfs.datanode.data.dir": f"file://{work}/data",
                "dfs.hosts": f"{conf}/include",
                "dfs.replication": 1,
                **{key: f"127.0.0.1:{port}" for key, port in zip(keys, others, strict=True)},
            }
        )
    )

    def java(name: str, main: str, *arguments: str) -> list[str]:
        lists = f"-XX:DumpLoadedClassList={work}/{name}.lst"
        command = [JAVA, *SMALL_JVM, lists, "-cp", f"{jar}:{conf}:{home}"]
        return [*command, f"org.apache.hadoop.{main}", *arguments]

    log = work / "log"
    environment = {"PATH": os.environ["PATH"], "HADOOP_USER_NAME": "root"}
    namenode = "hdfs.server.namenode.NameNode"

    def run(name: str, main: str, *arguments: str) -> None:
        with log.open("a") as sink:
            command = java(name, main, *arguments)
            subprocess.run(command, env=environment, stdout=sink, stderr=sink, check=True)

    run("format", namenode, "-format", "-nonInteractive")
    daemons = [java("namenode", namenode), java("datanode", "hdfs.server.datanode.DataNode")]
    page = f"http://127.0.0.1:{web}/jmx?qry=Hadoop:service=NameNode,name=FSNamesystemState"
    with running(daemons, environment, log):
        wait_for("The DataNode", lambda: '"NumLiveDataNodes" : 1' in fetched(page))
        fetched(f"http://127.0.0.1:{web}/webhdfs/v1/?op=LISTSTATUS&user.name=root")
        run("put", "fs.FsShell", "-put", str(log), "/log")
        run("cat", "fs.FsShell", "-cat", "/log")
        run("ls", "fs.FsShell", "-ls", "/")
        run("admin", "hdfs.tools.DFSAdmin", "-refreshNodes")
        run("fsck", "hdfs.tools.DFSck", "/")


SPARK_JOB = """
import sys
from pyspark.sql import SparkSession, functions as f
spark = SparkSession.builder.getOrCreate()
path = sys.argv[1]
label = (f.col("id") % 3).cast("double").alias("label")
rows = spark.range(200).select(label, f.rand(1).alias("a"), f.rand(2).alias("b"))
rows.write.csv(path + "/rows", compression="gzip")
rows.write.parquet(path + "/columns")
csv = spark.read.schema("label double, a double, b double").csv(path + "/rows").cache()
print(csv.groupBy("label").count().orderBy("label").collect())
print(csv.rdd.map(lambda row: row.a).sum())
print(spark.sparkContext.parallelize(range(9), 3).repartition(2).count())
ml, jvm = spark._jvm.org.apache.spark.ml, spark._jvm
names = spark.sparkContext._gateway.new_array(jvm.java.lang.String, 2)
names[0], names[1] = "a", "b"
data = ml.feature.VectorAssembler().setInputCols(names).setOutputCol("features").transform(csv._jdf)
model = ml.classification.LogisticRegression().setMaxIter(3).fit(data)
none = spark.sparkContext._gateway.new_array(jvm.java.lang.String, 0)
model.transform(data).select("prediction", none).count()
model.write().overwrite().save(path + "/model")
spark.stop()
"""


def train_spark(home: Path, jar: Path, work: Path) -> None:
    """Master, Worker, History Server and one application with a table, a Python worker and a model."""
    rpc, web, worker, worker_web, history = free_ports(5)
    conf, events = work / "conf", work / "events"
    conf.mkdir()
    events.mkdir()
    lists = f"-XX:DumpLoadedClassList={work}"
    core_jar = next((home / "jars").glob("spark-core_*.jar")).name  # spark-core_<Scala>-<Spark>.jar
    settings = {
        "spark.master": f"spark://127.0.0.1:{rpc}",
        "spark.authenticate": "true",
        "spark.authenticate.secret": "only for this minute",
        "spark.network.crypto.enabled": "true",
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": f"file://{events}",
        "spark.history.fs.logDirectory": f"file://{events}",
        "spark.history.ui.port": history,
        "spark.driver.host": "127.0.0.1",
        "spark.driver.extraClassPath": jar,
        "spark.executor.extraClassPath": jar,
        "spark.driver.extraJavaOptions": f"{lists}/driver.lst",
        "spark.executor.extraJavaOptions": f"{lists}/executor.lst",
        "spark.driver.memory": "512m",
        "spark.executor.memory": "512m",
        "spark.executor.cores": 1,
        "spark.cores.max": 1,
        "spark.sql.shuffle.partitions": 2,
        "spark.pyspark.python": "/usr/bin/python3",
    }
    text = "".join(f"{key} {value}\n" for key, value in settings.items())
    (conf / "spark-defaults.conf").write_text(text)
    (work / "job.py").write_text(SPARK_JOB)
    environment = {
        "PATH": os.environ["PATH"],
        "SPARK_HOME": str(home),
        "SPARK_CONF_DIR": str(conf),
        "SPARK_SCALA_VERSION": core_jar.split("_")[1].split("-")[0],
        "SPARK_LOCAL_DIRS": str(work / "local"),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYTHONPATH": ":".join([str(home / "python"), *map(str, (home / "python/lib").glob("py4j*.zip"))]),
    }

    def java(name: str, main: str, *arguments: str) -> list[str]:
        command = [JAVA, *SMALL_JVM, f"{lists}/{name}.lst", "-cp", f"{jar}:{conf}"]
        return [*command, f"org.apache.spark.deploy.{main}", *arguments]

    master = f"spark://127.0.0.1:{rpc}"
    here = ["--host", "127.0.0.1"]
    daemons = [
        java("master", "master.Master", *here, "--port", str(rpc), "--webui-port", str(web)),
        java("worker", "worker.Worker", *here, "--port", str(worker), "--webui-port", str(worker_web),
             "--cores", "1", "--memory", "1g", "--work-dir", str(work / "run"), master),
        java("history", "history.HistoryServer"),
    ]  # fmt: skip
    log = work / "log"

    def registered() -> bool:
        try:
            return int(json.loads(fetched(f"http://127.0.0.1:{web}/json/"))["aliveworkers"]) == 1
        except ValueError:  # no page yet, or one that says that it starts
            return False

    with running(daemons, environment, log):
        wait_for("The Worker", registered)
        with log.open("a") as sink:
            command = [str(home / "bin/spark-submit"), str(work / "job.py"), f"file://{work}/out"]
            subprocess.run(command, env=environment, stdout=sink, stderr=sink, check=True)
        listing = f"http://127.0.0.1:{history}/api/v1/applications"
        wait_for("The History Server", lambda: '"id"' in fetched(listing))


COMPONENTS = {
    "hadoop": ("lib", "hadoop-common-[0-9]*.jar", train_hadoop),
    "spark": ("jars", "spark-core_*.jar", train_spark),
}
"""Name of its folder -> where a component keeps its jars, which one tells its version, how it is run."""


def train(home: Path, lists: Path) -> None:
    """Write the list of the classes that a component loads when it works."""
    folder, telling, run = COMPONENTS[home.name]
    work = Path(tempfile.mkdtemp(prefix="muster-classes-", dir="/var/tmp"))
    try:
        run(home, class_path(home), work)
        (version,) = (home / folder).glob(telling)
        text = f"# Made with {version.name}\n" + merged(sorted(work.glob("*.lst")))
        class_list(home, lists).write_bytes(gzip.compress(text.encode(), mtime=0))
    except (OSError, subprocess.SubprocessError):
        log = work / "log"
        print(*(log.read_text(errors="replace").splitlines()[-15:] if log.exists() else []), sep="\n")
        raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def main() -> int:
    """`class_archives.py path|dump|train HOME … [--lists FOLDER]`. Returns the exit status."""
    parser = argparse.ArgumentParser(description="Make class path jars, class-data archives, or class lists.")
    parser.add_argument("what", choices=["path", "dump", "train"])
    parser.add_argument("homes", type=Path, nargs="+", metavar="HOME")
    parser.add_argument("--lists", type=Path, help="folder of the lists: read by dump, written by train")
    given = parser.parse_args()
    for home in given.homes:
        try:
            if given.what == "path":
                write_class_path(home, COMPONENTS[home.name][0])
            else:
                (dump if given.what == "dump" else train)(home, given.lists)
        except (OSError, subprocess.SubprocessError) as error:
            print(f"class_archives.py {given.what} {home}: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
