"""The web pages through `./muster ui`: every link on them leads somewhere, while a job runs."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from urllib.parse import urljoin, urlsplit

import pytest

from provision.services.pages import PORTS
from tests.system.lab import eventually
from tests.system.opened import opened as opened_by

BUSY = """\
import time
from pyspark.sql import SparkSession
spark = SparkSession.builder.appName("watched").getOrCreate()
spark.range(3).count()
print("in task", flush=True)
spark.sparkContext.parallelize(range(6), 6).foreach(lambda _: time.sleep(300))
"""
LINK = re.compile(r"""<a\b[^>]*\bhref=["']([^"'#]+)""", re.IGNORECASE)
BROWSER = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
NO_PAGE = re.compile(r"\.(css|js|png|svg|ico|map|zip)$|/kill/|logout|/threadDump/|/static/")


@pytest.fixture(scope="module")
def opened(_shared, tmp_path_factory) -> Iterator[tuple[dict[str, str], str]]:
    """The addresses that `ui --json` prints while a job runs, and the job's run."""
    program = tmp_path_factory.mktemp("watched") / "watched.py"
    program.write_text(BUSY)
    run = _shared.muster("submit", "--detach", str(program)).ok().answer.strip()
    eventually(lambda: "in task" in _shared.muster("logs", run).output, 90, "busy")
    try:
        with opened_by(_shared, "ui") as addresses:
            yield addresses, run
    finally:
        _shared.muster("cancel", run).ok()


def fetch(address: str) -> tuple[str, str]:
    """Return where the page was found in the end, and what it says."""
    try:
        with BROWSER.open(address, timeout=30) as answer:
            return answer.url, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{address}: {error.code} {error.read(300)!r}") from None


def walk(lab, start: str, depth: int) -> dict[str, str]:
    """Follow the links from a page; every page must answer, and none may name a page as the nodes know it."""
    names = "|".join(
        re.escape(name) for name in [*lab.names, *(n["address"] for n in lab.machines().values())]
    )
    ports = "|".join(map(str, sorted(PORTS)))
    pages: dict[str, str] = {}
    level = {start}
    for _ in range(depth + 1):
        found = set()
        for address in sorted(level - set(pages)):
            place, text = fetch(address)
            pages[address] = text
            assert not (missed := re.search(rf"\b({names}):({ports})\b", text)), (address, missed)
            for link in LINK.findall(text):
                target = urljoin(place, link.replace("&amp;", "&"))
                if urlsplit(target).hostname == "127.0.0.1" and not NO_PAGE.search(urlsplit(target).path):
                    found.add(target)
        level = found
    return pages


def test_from_the_master_to_workers_the_job_and_its_executors(ready, opened):
    addresses, _ = opened
    pages = walk(ready, addresses["Master"], 2)
    titles = [title for text in pages.values() for title in re.findall(r"<title>\s*(.*?)\s*</title>", text)]
    assert sum("Spark Worker at" in title for title in titles) == 3, titles
    assert any("watched - Spark Jobs" in title for title in titles), titles
    assert any("watched - Executors" in title for title in titles), titles
    (job,) = [address for name, address in addresses.items() if name.startswith("Job")]
    _, text = fetch(job)
    assert "watched" in text


def test_from_the_jobs_page_to_the_log_of_an_executor(ready, opened):
    addresses, _ = opened
    (job,) = [address for name, address in addresses.items() if name.startswith("Job")]
    place, _ = fetch(job)
    _, executors = fetch(urljoin(place, "../api/v1/applications"))
    (application,) = json.loads(executors)
    _, executors = fetch(urljoin(place, f"../api/v1/applications/{application['id']}/executors"))
    logs = [one["executorLogs"]["stderr"] for one in json.loads(executors) if one["id"] != "driver"]
    assert len(logs) == 3
    for log in logs:
        assert "CoarseGrainedExecutorBackend" in fetch(urljoin(place, log))[1]


def test_from_the_namenode_to_every_datanode(ready, opened):
    addresses, _ = opened
    assert "dfshealth" in fetch(addresses["NameNode"])[1] or "Namenode" in fetch(addresses["NameNode"])[1]
    question = "jmx?qry=Hadoop:service=NameNode,name=NameNodeInfo"
    (bean,) = json.loads(fetch(addresses["NameNode"] + question)[1])["beans"]
    nodes = [node["infoAddr"] for node in json.loads(bean["LiveNodes"]).values()]
    assert len(set(nodes)) == 3
    for node in nodes:
        assert node.startswith("127.0.0.1:"), node
        assert "DataNode" in fetch(f"http://{node}/datanode.html")[1]


def test_a_file_of_hdfs_is_read_through_its_page(ready, opened):
    """The file browser asks the NameNode, which sends it on to a DataNode."""
    addresses, _ = opened
    listing = json.loads(
        fetch(addresses["NameNode"] + "webhdfs/v1/datasets/digits/train_16?op=LISTSTATUS")[1]
    )
    names = [entry["pathSuffix"] for entry in listing["FileStatuses"]["FileStatus"]]
    (name, *_) = [name for name in names if name.startswith("part-")]
    place, _ = fetch(addresses["NameNode"] + f"webhdfs/v1/datasets/digits/train_16/{name}?op=OPEN")
    assert urlsplit(place).hostname == "127.0.0.1"


def test_who_was_not_given_the_address_sees_nothing(ready, opened):
    addresses, _ = opened
    place = urlsplit(addresses["NameNode"])
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(f"http://{place.netloc}/webhdfs/v1/?op=LISTSTATUS", timeout=30)
    delete = urllib.request.Request(addresses["NameNode"] + "webhdfs/v1/user?op=DELETE", method="DELETE")  # noqa: S310
    with pytest.raises(urllib.error.HTTPError, match="405"):
        BROWSER.open(delete, timeout=30)


def test_from_the_history_to_an_application_that_has_ended(ready, opened):
    addresses, _ = opened
    assert "History Server" in fetch(addresses["History"])[1]

    def ended() -> list[str]:
        known = json.loads(fetch(addresses["History"] + "api/v1/applications?status=completed")[1])
        return [application["id"] for application in known]

    application = eventually(ended, 30, "in the history")[0]
    pages = walk(ready, addresses["History"] + f"history/{application}/jobs/", 1)
    assert any("Executors" in text for text in pages.values()) and len(pages) > 3
