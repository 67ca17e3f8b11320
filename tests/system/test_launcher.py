"""The form for pictures, through `./muster launcher` and in a real browser."""

from __future__ import annotations

import base64
import csv
import io
import re
import shlex
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from muster_node.digits import png
from tests.system.browser import browser
from tests.system.lab import Lab
from tests.system.opened import opened
from tests.system.runs import only_run

pytestmark = pytest.mark.long
TIMEOUT = 600
SIDE = 64
NODE = {"cores": 2, "memory_gb": 4.25, "data_disk_gb": 20}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, store: str) -> Iterator[Lab]:
    """A cluster of one node with the form, and nobody has trained anything yet."""
    made = Lab(
        tmp_path_factory.mktemp("form"),
        store,
        nodes=1,
        groups={"master": NODE},
        features=["tracking", "launcher"],
    )
    made.up(16)
    yield made
    made.destroy()
    made.drop_results()


@pytest.fixture(scope="module")
def learnt(lab: Lab) -> str:
    """A run that has learnt the digits."""
    with opened(lab, "launcher") as told, browser() as (pages, _):
        page = pages.new_page()
        page.goto(told["address"])
        assert "There is no model of digits yet" in page.inner_text("[role=alert]")
        assert told["model"]["run"] == "" and page.query_selector("form") is None
    return only_run(lab.muster("submit", "cnn", "epochs=8", timeout=TIMEOUT).ok())


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Fifty-one digits as files, each named for what it is."""
    folder, known = tmp_path_factory.mktemp("digits"), load_digits()
    files = []
    for number, (scan, label) in enumerate(zip(known.images[:51], known.target[:51], strict=True)):
        files.append(folder / f"{number}_is_{label}.png")
        files[-1].write_bytes(png(scan))
    return files


def fetched(address: str) -> np.ndarray:
    """The pixels of an image that its address holds."""
    content = base64.b64decode(address.partition("base64,")[2])
    return np.asarray(Image.open(io.BytesIO(content)))


def send(page: Any, files: list[Path]) -> str:
    """Choose files, ask, and return what the new page says."""
    page.set_input_files("#pictures", files)
    with page.expect_navigation():
        page.click("button")
    return page.inner_text("main")


def right(page: Any, digits: list[Path]) -> int:
    """Send digits one by one; return of how many the class was said that their names end with."""
    count = 0
    for digit in digits:
        send(page, [digit])
        count += digit.stem.endswith(page.inner_text(".said"))
    return count


def test_a_person_sees_class_probabilities_and_where_it_looked(lab, learnt, digits, tmp_path):
    with opened(lab, "launcher") as told, browser() as (pages, asked):
        assert (told["model"]["run"], told["model"]["rule"]) == (learnt, "the only run")
        page = pages.new_page()
        page.goto(told["address"])
        assert learnt in page.inner_text("footer")
        known = 0
        for digit in digits[:5]:
            send(page, [digit])
            known += digit.stem.endswith(page.inner_text(".said"))
            assert page.locator("figure img").count() == 2
        assert known >= 4
        shares = [float(text.rstrip(" %")) for text in page.locator("td.number").all_inner_texts()]
        assert len(shares) == 10 and sum(shares) == pytest.approx(100, abs=0.6) and shares[0] == max(shares)
        page.screenshot(path=tmp_path / "digit.png", full_page=True)
        hosts = {urlsplit(address).netloc for address in asked if not address.startswith("data:")}
        assert hosts == {urlsplit(told["address"]).netloc}, "nothing comes from elsewhere"
    lab.ssh(lab.master, "test -e /run/muster-used/launcher || test ! -d /run/muster-used").ok()


def test_fifty_pictures_at_once_are_a_table_and_fifty_one_are_refused(lab, learnt, digits, tmp_path):
    with opened(lab, "launcher") as told, browser() as (pages, _):
        page = pages.new_page()
        page.goto(told["address"])
        assert "50 pictures" in send(page, digits[:50])
        page.screenshot(path=tmp_path / "table.png", full_page=True)
        with page.expect_download() as download:
            page.click(".download")
        rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text())))
        assert len(rows) == 50
        assert sum(row["file"].removesuffix(".png").endswith(row["class"]) for row in rows) >= 45
        assert "At most 50 pictures at a time; choose fewer" in send(page, digits)


def test_bad_uploads_are_refused_in_a_line(lab, learnt, digits, tmp_path):
    (tmp_path / "words.txt").write_text("hello\n")
    (tmp_path / "large.png").write_bytes(digits[0].read_bytes() + b"\0" * (21 << 20))
    Image.new("1", (30_000, 30_000)).save(tmp_path / "bomb.png")
    with opened(lab, "launcher") as told, browser() as (pages, _):
        page = pages.new_page()
        page.goto(told["address"])
        for name, said in (
            ("words.txt", "words.txt is no picture that can be read: no picture format that is known"),
            ("large.png", "large.png is larger than 20 MB; send a smaller one"),
            ("bomb.png", "bomb.png is no picture that can be read: 30000 x 30000 pixels need "),
        ):
            send(page, [tmp_path / name])
            (line,) = page.locator("[role=alert]").all_inner_texts()
            assert line.startswith(said) and "\n" not in line
        send(page, [digits[0]])
        assert page.inner_text(".said").isdigit(), "it goes on"


CHUNKED = """
import base64, http.client, re
word = open("/var/lib/muster-launcher/password").read()
header = {"Authorization": "Basic " + base64.b64encode(f"launcher:{word}".encode()).decode(),
          "Content-Type": "multipart/form-data; boundary=e"}
def ask(headers, body):
    connection = http.client.HTTPConnection("127.0.0.1", 7860)
    connection.request("POST", "/", body, headers, encode_chunked=True)
    answer = connection.getresponse()
    print(answer.status, *re.findall('role="alert">([^<]*)<', answer.read().decode()))
begin = b'--e\\r\\nContent-Disposition: form-data; name="p"; filename="x.png"\\r\\n\\r\\n'
ask(header, iter([begin] + [bytes(1 << 20)] * 21 + [b"\\r\\n--e--\\r\\n"]))
ask({"Content-Type": "text/plain"}, iter([b"x"]))
"""


def test_who_says_not_how_long_it_is_has_the_same_limit_and_who_has_no_password_none(lab, learnt):
    told = lab.ssh(lab.master, f"python3 -c {shlex.quote(CHUNKED)}")
    assert told.ok().answer.splitlines() == ["422 x.png is larger than 20 MB; send a smaller one", "401"]
    listening = lab.ssh(lab.master, "ss -Hltn sport = :7860").ok().answer.split()
    assert "127.0.0.1:7860" in listening
    with opened(lab, "launcher") as told:
        place = urlsplit(told["address"])
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(f"http://{place.netloc}/", timeout=30)


def test_the_account_of_the_form_can_do_little_and_pictures_are_not_kept(lab, learnt, digits):
    root = lab.node(lab.master, sudo=True)
    assert root.check_output("id -nG launcher").split() == ["launcher"]
    before = root.check_output("date +%s")
    with opened(lab, "launcher") as told, browser() as (pages, _):
        page = pages.new_page()
        page.goto(told["address"])
        send(page, digits[:1])
    owned = root.check_output(f"find / -xdev -user launcher -newermt @{before} -type f 2>/dev/null || true")
    assert owned.split() == []
    score = root.check_output("systemd-analyze security --no-pager muster-launcher.service | tail -1")
    assert float(re.findall(r"level.*?: ([\d.]+)", score)[0]) < 4, score


def test_a_run_can_be_pinned(lab, learnt):
    other = only_run(lab.muster("submit", "cnn", "epochs=1", "network=mlp", timeout=TIMEOUT).ok())
    assert lab.muster("launcher", "--pin", other, "--json").ok().json()["rule"] == "pinned"
    with opened(lab, "launcher") as told:
        assert told["model"]["run"] == other
    lab.muster("launcher", "--pin", "nobody-20261129-100000-abcd").refused(
        "is no run with a model of pictures"
    )
    lab.muster("launcher", "--pin", "best").ok()
    with opened(lab, "launcher") as told:
        assert (told["model"]["run"], told["model"]["rule"]) == (learnt, "the best of 2 runs")


def test_models_of_spark_and_of_a_grid_answer_without_spark(lab, learnt, digits):
    """What Spark has really written is read; a forest of its own is refused in a line."""
    lines = only_run(lab.muster("submit", "logistic_regression", "iterations=40", timeout=TIMEOUT).ok())
    words = ("models=mlp", "variants=raw", "epochs=6")
    grid = only_run(lab.muster("submit", "grid", *words, timeout=TIMEOUT).ok())
    forest = only_run(lab.muster("submit", "random_forest", "engine=spark", "trees=10", timeout=TIMEOUT).ok())
    for name in (lines, f"{grid}/raw_mlp"):
        lab.muster("launcher", "--pin", name).ok()
        with opened(lab, "launcher") as told, browser() as (pages, _):
            assert told["model"]["run"] == name
            page = pages.new_page()
            page.goto(told["address"])
            assert right(page, digits[:5]) >= 4
    lab.muster("launcher", "--pin", forest).refused("is one of Spark ML that only Spark can ask")
    lab.muster("launcher", "--pin", "best").ok()


def test_a_photograph_of_an_eye(lab, learnt, photographs, tmp_path):
    """What the model saw is, pixel for pixel, what preprocessing has put into the set."""
    folder = tmp_path / "eyes"
    folder.mkdir()
    for copy in range(4):
        for photograph in sorted(photographs.glob("*.jpeg")):
            shutil.copy(photograph, folder / f"{copy}{photograph.name}")
    names = sorted(path.stem for path in folder.glob("*.jpeg"))
    labels = "".join(f"{name},{number % 2}\n" for number, name in enumerate(names))
    (folder / "labels.csv").write_text(f"image,level\n{labels}")
    lab.write(dataset={"source": str(folder), "name": "eyes", "labels": "labels.csv", "kind": "eye"})
    lab.playbook("main.yml", "-e", f"IMAGE_SIZE={SIDE}").ok()
    run = only_run(lab.muster("submit", "cnn", "epochs=3", "batch=4", timeout=TIMEOUT).ok())
    photograph = min(photographs.glob("*.jpeg"))
    with opened(lab, "launcher") as told, browser() as (pages, _):
        assert (told["model"]["run"], told["model"]["metric"]) == (run, "kappa")
        page = pages.new_page()
        page.goto(told["address"])
        text = send(page, [photograph])
        page.screenshot(path=tmp_path / "eye.png", full_page=True)
        assert f"What the model saw: {SIDE} x {SIDE} pixels" in text and page.inner_text(".said") in {
            "0",
            "1",
        }
        seen = fetched(page.locator("figure img").first.get_attribute("src"))
    times = len(seen) // SIDE
    script = f"hdfs dfs -cat '/datasets/eyes/*_{SIDE}/part-*.csv.gz' | zcat"
    rows = {line.partition(",")[2] for line in lab.ssh(lab.master, script).ok().answer.splitlines()}
    assert ",".join(map(str, seen[::times, ::times].reshape(-1))) in rows


def test_the_next_cluster_asks_the_best_model_of_this_one(lab, learnt, digits, labs):
    lab.destroy().ok()
    other = labs(nodes=1, groups={"master": NODE}, features=["tracking", "launcher"], store=lab.store)
    other.up(16)
    with opened(other, "launcher") as told, browser() as (pages, _):
        assert "problem" not in told["model"], told
        assert (told["model"]["run"], told["model"]["cluster"]) == (learnt, lab.name)
        assert told["model"]["notes"] == []
        page = pages.new_page()
        page.goto(told["address"])
        assert right(page, digits[:3]) >= 2 and f"{learnt} of the cluster {lab.name}" in page.inner_text(
            "footer"
        )
