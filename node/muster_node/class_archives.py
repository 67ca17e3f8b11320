"""Make a component's class path jar and its class-data archive (AppCDS); runs once, while an image is made.

A JVM that maps such an archive starts in a third of the processor time. To know which classes belong into
it, the component is run once for real: daemons and clients on the loopback interface in a temporary folder,
then stopped.

A missing or unfitting archive costs only time: the JVM then loads classes the ordinary way.
"""

from __future__ import annotations

import argparse
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


def class_path_jar(home: Path, folder: str) -> Path:
    """Write `<home>/<home's name>.jar`, whose manifest names every jar of `folder` in a fixed order."""
    names = [f"{folder}/{jar.name}" for jar in sorted((home / folder).glob("*.jar"))]
    text = "Class-Path: " + " ".join(names)
    lines = [text[:70], *(" " + text[at : at + 69] for at in range(70, len(text), 69))]
    target = home / f"{home.name}.jar"
    with zipfile.ZipFile(target, "w") as jar:
        jar.writestr("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\r\n" + "\r\n".join(lines) + "\r\n\r\n")
    return target


def merge_lists(lists: list[Path], target: Path) -> None:
    """Join class lists of several JVMs: without numbers and without classes of private loaders."""
    seen: dict[str, None] = {}
    for path in lists:
        for line in path.read_text(errors="replace").splitlines():
            if line and not line.startswith("#") and " source: " not in line:
                seen[line.split(" id: ")[0]] = None
    target.write_text("\n".join(seen) + "\n")


def dump(jar: Path, lists: Path, archive: Path) -> None:
    """Write the archive of the classes in all `*.lst` files of `lists`. Raises CalledProcessError."""
    merged = lists / "all.classes"
    merge_lists(sorted(lists.glob("*.lst")), merged)
    new = archive.with_suffix(".new")
    subprocess.run(
        [JAVA, "-Xshare:dump", "-XX:+UseG1GC", "-XX:TieredStopAtLevel=1", "-Xmx1g",
         f"-XX:SharedClassListFile={merged}",
         f"-XX:SharedArchiveFile={new}", "-Xlog:disable", "-cp", str(jar)],
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


def main() -> int:
    """`class_archives.py hadoop|spark HOME`. Returns the exit status."""
    parser = argparse.ArgumentParser(description="Make a class-data archive.")
    parser.add_argument("component", choices=["hadoop", "spark"])
    parser.add_argument("home", type=Path)
    given = parser.parse_args()
    archive = given.home / f"{given.component}.jsa"
    if archive.exists():
        return 0
    jar = class_path_jar(given.home, "lib" if given.component == "hadoop" else "jars")
    work = Path(tempfile.mkdtemp(prefix="muster-classes-", dir="/var/tmp"))
    try:
        (train_hadoop if given.component == "hadoop" else train_spark)(given.home, jar, work)
        dump(jar, work, archive)
    except (OSError, subprocess.SubprocessError) as error:
        log = work / "log"
        tail = log.read_text(errors="replace").splitlines()[-15:] if log.exists() else []
        print(f"No class-data archive for {given.component}: {error}", *tail, sep="\n", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
