"""Archives in parts and lists of addresses come in over the nodes, whatever breaks meanwhile, and are staged."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import shlex
import zipfile
from pathlib import Path

import pytest
import yaml
from PIL import Image

from provision.core.paths import PROJECT
from tests.fakes.web import PORT
from tests.system.lab import eventually

pytestmark = pytest.mark.long
STORE = "object-store"
WEB = "/home/hadoop/web"


@pytest.fixture
def lab(two_nodes):
    """The module's cluster; its master serves what the tests put there, as the web would."""
    return two_nodes


@pytest.fixture
def web(lab, tmp_path):
    """Puts files onto a web server on the master; returns its address."""

    def serve(files: dict[str, bytes], **faults) -> str:
        folder = tmp_path / "web"
        for name, content in (files | {"faults.json": json.dumps(faults).encode()}).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        stop(lab)
        lab.ssh(lab.master, f"rm -rf {WEB}").ok()
        lab.muster("put", str(folder)).ok()
        lab.muster("put", str(PROJECT / "tests/fakes/web.py"), "master:/home/hadoop/web.py").ok()
        lab.ssh(lab.master, f"nohup python3 web.py {WEB} >web.log 2>&1 </dev/null & echo $! >web.pid").ok()
        eventually(lambda: lab.ssh(lab.master, f"ls {WEB}/sent.json").status == 0, 20, "serving")
        return f"http://{lab.master}:{PORT}"

    yield serve
    stop(lab)


def stop(lab) -> None:
    lab.ssh(lab.master, "if [ -f web.pid ]; then kill -9 $(cat web.pid); rm web.pid; fi")


def sent(lab) -> int:
    """Bytes that the web server has sent."""
    return sum(json.loads(lab.ssh(lab.master, f"sleep 1; cat {WEB}/sent.json").ok().answer).values())


def photograph(number: int, side: int = 48) -> bytes:
    buffer = io.BytesIO()
    noise = hashlib.shake_128(str(number).encode()).digest(side * side * 3)
    Image.frombytes("RGB", (side, side), noise).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def archive(count: int, side: int = 48) -> bytes:
    """A zip archive of images in five classes, their labels, and what macOS adds."""
    buffer = io.BytesIO()
    rows = [("image", "level")]
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for number in range(count):
            name = f"{number // 2}_{'left' if number % 2 else 'right'}"
            made.writestr(f"train/{name}.jpeg", photograph(number, side))
            made.writestr(f"__MACOSX/train/._{name}.jpeg", b"\0\5\x16\7")
            rows.append((name, str(number // 2 % 5)))
        made.writestr("train/large.jpeg", photograph(1, 600))
        table = io.StringIO()
        csv.writer(table).writerows(rows)
        made.writestr("trainLabels.csv", table.getvalue())
    return buffer.getvalue()


def cut(content: bytes, name: str, parts: int) -> dict[str, bytes]:
    length = -(-len(content) // parts)
    return {f"{name}.{n + 1:03d}": content[n * length : (n + 1) * length] for n in range(parts)}


def description(lab, name: str, **keys) -> Path:
    file = lab.folder / f"{name}.yml"
    file.write_text(yaml.safe_dump({"name": name, **keys}))
    return file


def metrics(run) -> dict:
    """What the run's report says; it came to results/."""
    found = re.search(r"Results of (\S+):", run.output)
    return json.loads((PROJECT / "results" / found[1] / "metrics.json").read_text())


def staged(lab, name: str) -> dict[str, int]:
    """Make and stage the set at 16 pixels; return the rows of its parts."""
    lab.write(dataset={"name": name})
    lab.playbook("main.yml", "-e", "IMAGE_SIZE=16").ok()
    folder = f"/datasets/{name}"
    rows = {}
    for part in ("train", "holdout", "test"):
        script = f"hdfs dfs -cat {folder}/{part}_16/_manifest.json 2>/dev/null || echo '{{}}'"
        rows[part] = json.loads(lab.ssh(lab.master, script).answer or "{}").get("rows", 0)
    return rows


def test_an_archive_in_five_parts(lab, web):
    place = web(cut(archive(400), "train.zip", 5))
    parts = [f"{place}/train.zip.{{001..005}}"]
    source = {"archives": [{"parts": parts}]}
    file = description(lab, "eyes", kind="plain", source=source, labels={"file": "trainLabels.csv"})
    run = lab.muster("ingest", str(file)).ok()
    found = metrics(run)
    assert (found["images"], found["labelled"], found["classes"], found["aside"]) == (401, 400, 5, 400)
    assert "__MACOSX" in run.output and "hidden, or a companion" in run.output
    assert "already" in lab.muster("ingest", str(file)).ok().output
    rows = staged(lab, "eyes")
    assert rows["train"] + rows["holdout"] == 400 and rows["test"] == 1


def test_a_part_that_is_missing_or_in_another_place_is_named(lab, web):
    files = cut(archive(40, side=200), "train.zip", 5)
    files["train.zip.003"], files["train.zip.004"] = files["train.zip.004"], files["train.zip.003"]
    place = web(files)
    source = {"archives": [{"parts": [f"{place}/train.zip.{{001..005}}"]}]}
    lab.muster("ingest", str(description(lab, "swapped", source=source))).refused(r"train\.zip\.003")
    source = {"archives": [{"parts": [f"{place}/train.zip.{{001..006}}"]}]}
    lab.muster("ingest", str(description(lab, "missing", source=source))).refused(
        r"train\.zip\.006 is missing: HTTP 404"
    )


def test_a_list_of_addresses(lab, web):
    files = {f"i/{number}.jpg": photograph(number, 96) for number in range(120)}
    rows = {
        "images": [
            {"image_id": str(n), "url": [f"http://{lab.master}:{PORT}/i/{n}.jpg"]} for n in range(124)
        ],
        "annotations": [{"image_id": str(n), "label_id": [str(n % 3)]} for n in range(124)],
    }
    web(files, says={"/i/5.jpg": [500, 503], "/i/6.jpg": [429]}, headers={"/i/6.jpg": {"Retry-After": "1"}})
    (lab.folder / "list.json").write_text(json.dumps(rows))
    file = description(lab, "listed", source={"urls": {"list": "list.json", "per_host": 4}}, size=64)
    run = lab.playbook("ingest.yml", "-e", f"SOURCE={shlex.quote(str(file))}").ok()
    found = metrics(run)
    assert (found["images"], found["failed"], found["classes"]) == (120, 4, 3)
    assert "4 images did not come: 4 HTTP 404" in run.output
    rows = staged(lab, "listed")
    assert rows["train"] + rows["holdout"] == 120


def test_killed_workers_a_store_that_restarts_and_a_cancelled_run(lab, web):
    content = archive(260, side=600)
    place = web(cut(content, "big.zip", 3), pause_s=0.1)
    source = {"archives": [{"parts": [f"{place}/big.zip.{{001..003}}"]}]}
    file = description(lab, "big", source=source, labels={"file": "trainLabels.csv"})
    run = lab.muster("ingest", str(file), "-d").ok().answer.strip()
    eventually(lambda: "images," in lab.muster("logs", run).output, 120, "under way")
    lab.ssh(lab.worker(1), "sudo pkill -9 -f '[C]oarseGrainedExecutorBackend'", user="muster")
    lab.ssh(STORE, "sudo systemctl reboot", user="muster")
    before = len(lab.muster("logs", run).output)
    eventually(lambda: len(lab.muster("logs", run).output) > before, 180, "going on")
    lab.muster("cancel", run)
    came = sent(lab)
    assert came < len(content) * 1.5
    done = lab.muster("ingest", str(file)).ok()
    assert metrics(done)["images"] == 261
    rows = staged(lab, "big")
    assert rows["train"] + rows["holdout"] == 260
