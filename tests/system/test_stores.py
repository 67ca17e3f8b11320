"""The object store as nodes see it, on a real Swift, by S3's protocol and by Swift's own."""

from __future__ import annotations

import json

import pytest

from tests.fakes.keys import KEYS
from tests.system.lab import eventually
from tests.system.runs import only_run, runs

pytestmark = pytest.mark.long

PYTHON = "/opt/muster/venv/bin/python"
OPENED = """\
import hashlib, io, os, sys
from dataclasses import replace
from muster_node.stores.base import NotFound, Settings, StoreError
from muster_node.stores.open import open_store

known = Settings.load()
s3 = open_store(known)
swift = open_store(replace(known, kind="swift", endpoint=f"{known.endpoint}/auth/v1.0"))
"""
NAMES = """\
import json
keys = json.loads(sys.argv[1])
for writer, reader in ((s3, swift), (swift, s3)):
    for number, key in enumerate(keys):
        writer.put(f"keys/{key}", b"x" * number)
    for store in (writer, reader):
        assert sorted(store.names("keys/")) == sorted((f"keys/{k}", n) for n, k in enumerate(keys))
        for number, key in enumerate(keys):
            assert store.get(f"keys/{key}") == b"x" * number, key
            assert store.head(f"keys/{key}").bytes == number, key
    reader.remove(f"keys/{key}" for key in keys)
    assert list(writer.names("keys/")) == []
print("equal")
"""
LARGE = """\
content = os.urandom(17 << 20)
for writer, reader in ((s3, swift), (swift, s3)):
    writer.upload("large/größe #", io.BytesIO(content), len(content), 5 << 20)
    for store in (writer, reader):
        assert store.download("large/größe #", io.BytesIO()) == hashlib.sha256(content).hexdigest()
        assert store.get_range("large/größe #", (5 << 20) - 3, 6) == content[(5 << 20) - 3 : (5 << 20) + 3]
        assert store.head("large/größe #").bytes == len(content)
        assert dict(store.names("large/")) == {"large/größe #": len(content)}
    writer.remove(["large/größe #"])
# A dynamic large object, as rclone and `swift upload -S` without --use-slo leave it.
by = swift._connection
by.put_container("muster_segments")
for number in range(3):
    by.put_object("muster_segments", f"dyn amic/{number:03d}", content[number << 20 : (number + 1) << 20])
by.put_object("muster", "large/dynamic", "", headers={"X-Object-Manifest": "muster_segments/dyn%20amic/"})
assert swift.get("large/dynamic") == content[: 3 << 20]
assert dict(swift.names("large/dynamic")) == {"large/dynamic": 3 << 20}
# A segment that somebody wrote over is said, never joined.
swift.upload("large/static", io.BytesIO(content), len(content), 5 << 20)
by.put_object("muster_segments", "large/static/00000001", content[:5 << 20])
try:
    swift.get("large/static")
except StoreError as error:
    print(error)
swift.remove(["large/dynamic", "large/static"])
for segments in ("dyn amic/", "large/"):
    for item in by.get_container("muster_segments", prefix=segments, full_listing=True)[1]:
        by.delete_object("muster_segments", item["name"])
try:
    s3.open("large/none")
except NotFound as error:
    print(error)
"""


def run(ready, program, *words):
    script = "\n".join([f"{PYTHON} - {' '.join(words)} <<'EOF'", OPENED + program, "EOF"])
    return ready.ssh(ready.master, script).ok().answer.strip()


def test_whatever_is_a_key_elsewhere_is_one_here(ready):
    words = json.dumps(KEYS).replace("'", "'\\''")
    assert run(ready, NAMES, f"'{words}'") == "equal"


def test_large_objects_of_every_kind(ready):
    damaged, missing = run(ready, LARGE).splitlines()
    assert "refuses large/static: HTTP 409" in damaged or "is damaged: its MD5 is not" in damaged
    assert missing == "the object store has no large/none"


SPARK = """\
import sys
from pyspark.sql import SparkSession

spark = SparkSession.builder.appName("s3a").getOrCreate()
rows = spark.read.text(sys.argv[1])
print("lines:", rows.count())
rows.limit(5).write.mode("overwrite").text(sys.argv[2])
spark.stop()
"""
TEXT = "a b + 100% #1 größe.txt"
FILL = f"""\
s3.put("s3a/{TEXT}", b"line\\n" * 1000)
print("written")
"""
PAGES = """\
import json, sys, urllib.request
base = f"http://{sys.argv[1]}:18080/api/v1/applications"
direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
for application in json.load(direct.open(base)):
    print(direct.open(f"{base}/{application['id']}/environment").read().decode())
"""
LEFT = """\
print(sum(s3.get(key).count(b"line\\n") for key, _ in s3.names("s3a/out/")))
s3.remove(key for key, _ in s3.names("s3a/"))
"""


def environments(ready):
    """What the history server shows of the settings of every application that has ended."""
    return run(ready, PAGES, ready.master)


def test_every_job_reads_and_writes_the_store(ready, tmp_path):
    """As the user of another cluster would write it: no option, no key, no endpoint."""
    program = tmp_path / "read_s3a.py"
    program.write_text(SPARK)
    assert run(ready, FILL) == "written"
    done = ready.muster("submit", str(program), "--", f"s3a://muster/s3a/{TEXT}", "s3a://muster/s3a/out").ok()
    assert "lines: 1000" in done.output, done.report()
    listed = ready.ssh(
        ready.master, "hdfs dfs -ls s3a://muster/s3a/ && hdfs dfs -cat 's3a://muster/s3a/out/part-*'"
    )
    assert TEXT in listed.ok().output and listed.answer.count("line\n") == 5
    assert run(ready, LEFT) == "5"
    secret = json.loads(ready.ssh(ready.master, "cat /etc/muster/store.json").ok().answer)["secret_key"]
    eventually(lambda: "fs.s3a.auth.profile.file" in environments(ready), 60, "the application's page")
    assert secret not in environments(ready)
    assert (
        "Permission denied"
        in ready.ssh(ready.master, "cat /etc/muster/store.credentials", user="muster").output
    )


def test_a_container_that_is_not_there_is_one_line(ready, tmp_path):
    program = tmp_path / "read_s3a.py"
    program.write_text(SPARK)
    failed = ready.muster("submit", str(program), "--", "s3a://nobody/x", "s3a://muster/s3a/out")
    assert "has no container nobody" in runs(ready)[only_run(failed)]["reason"], failed.report()
    listed = ready.ssh(ready.master, "hdfs dfs -ls s3a://nobody/")
    said = [line for line in listed.output.splitlines() if line and not line.startswith("$ ")]
    assert listed.status != 0 and len(said) == 1 and "bucket does not exist" in said[0], listed.report()
