"""The pages over HTTP: who gets in, what is refused, and how."""

from __future__ import annotations

import base64
import csv
import http.client
import io
import re
from collections.abc import Callable, Iterator

import pytest
from form import harmless

from .conftest import bright
from .test_answering import RUN, png
from .test_uploads import KIND, form

HEADER = {"Authorization": "Basic " + base64.b64encode(b"launcher:secret").decode()}
LINE = re.compile(r'role="alert">([^<]*)<')


def ask(
    port: int,
    method: str = "GET",
    path: str = "/",
    body: bytes | Iterator[bytes] | None = None,
    **headers: str,
) -> tuple[int, str, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, HEADER | named, encode_chunked=not isinstance(body, bytes | None))
    answer = connection.getresponse()
    return answer.status, answer.read().decode(), answer.headers


def test_without_the_password_there_is_nothing(served: Callable[[], int]) -> None:
    for header in ("", "Basic x", "Basic " + base64.b64encode(b"launcher:Secret").decode()):
        status, text, headers = ask(served(), Authorization=header)
        assert status == 401 and "<form" not in text and headers["WWW-Authenticate"].startswith("Basic")
    assert ask(served(), "PUT", "/model/x", Authorization="")[0] == 401


def test_other_sites_pages_cannot_ask(served: Callable[[], int]) -> None:
    assert ask(served(), Sec_Fetch_Site="cross-site")[0] == 403
    assert ask(served(), Sec_Fetch_Site="same-origin")[0] == 200


def test_a_page_brings_all_it_has_and_is_not_kept(served: Callable[[], int], cluster) -> None:
    cluster.run(RUN)
    status, text, headers = ask(served())
    assert status == 200 and "<form" in text and RUN in text
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert (headers["Cache-Control"], headers["Referrer-Policy"]) == ("no-store", "same-origin")
    assert "://" not in text and "<script" not in text
    assert "://" not in ask(served(), path="/style.css")[1]


def test_without_a_model_the_page_says_so_and_takes_nothing(served: Callable[[], int]) -> None:
    _, text, _ = ask(served())
    assert LINE.findall(text) == [
        "There is no model of lamps yet: train one, for example with ./muster submit cnn",
    ]
    assert "<form" not in text
    status, text, _ = ask(served(), "POST", body=form(("a.png", b"x")), Content_Type=KIND)
    assert status == 503 and len(LINE.findall(text)) == 1


def test_one_picture(served: Callable[[], int], cluster) -> None:
    cluster.run(RUN)
    body = form(("<b>lamp.png", png(bright(0.9))))
    status, text, _ = ask(served(), "POST", body=body, Content_Type=KIND)
    assert status == 200 and 'class="said">light<' in text and "&lt;b&gt;lamp.png" in text
    assert text.count("data:image/png") == 2


def test_several_pictures_are_a_table_also_with_bad_ones_among_them(
    served: Callable[[], int], cluster
) -> None:
    cluster.run(RUN)
    files = [("a.png", png(bright(0.9))), ("=b.png", png(bright(0.1))), ("c.txt", b"words")]
    status, text, _ = ask(served(), "POST", body=form(*files), Content_Type=KIND)
    assert status == 200
    (table,) = re.findall(r'href="data:text/csv;charset=utf-8;base64,([^"]*)"', text)
    rows = list(csv.DictReader(io.StringIO(base64.b64decode(table).decode())))
    assert [(row["file"], row["class"], bool(row["problem"])) for row in rows] == [
        ("a.png", "light", False),
        ("'=b.png", "dark", False),
        ("c.txt", "", True),
    ]
    assert float(rows[0]["p_light"]) > 0.5 and rows[2]["p_light"] == ""


@pytest.mark.parametrize("chunked", [False, True])
def test_bad_uploads_are_refused_in_one_line(served: Callable[[], int], cluster, chunked: bool) -> None:
    cluster.run(RUN)
    large = form(("large.png", b"x" * (21 << 20)))
    for content, status, said in (
        (large, 422, "large.png is larger than 20 MB; send a smaller one"),
        (form(("words.txt", b"words")), 422, "words.txt is no picture that can be read"),
        (form(("", b"")), 400, "No picture was sent: choose one first"),
        (form(*(("a.png", b""),) * 51), 413, "At most 50 pictures at a time; choose fewer"),
        (b"--edge\r\nbroken", 400, "The upload has arrived damaged; send it again"),
    ):
        body = iter([content]) if chunked else content
        got, text, _ = ask(served(), "POST", body=body, Content_Type=KIND)
        (line,) = LINE.findall(text)
        assert (got, line.startswith(said)) == (status, True), line
        assert "<form" in text, "the next one can be chosen at once"


def test_programs_pin_and_unpin(served: Callable[[], int], cluster) -> None:
    cluster.run(RUN)
    assert '"rule":"pinned"' in ask(served(), "PUT", f"/model/{RUN}")[1]
    assert '"rule":"the only run"' in ask(served(), "DELETE", "/model")[1]
    assert '"problem":"nobody is no run' in ask(served(), "PUT", "/model/nobody")[1]
    assert f'"problem":"{RUN}/raw_mlp is no run' in ask(served(), "PUT", f"/model/{RUN}/raw_mlp")[1]
    assert RUN in ask(served(), path="/model")[1]


def test_no_spreadsheet_computes_with_names_of_files() -> None:
    assert [harmless(text) for text in ("=1+1", "@a", "a=b", "")] == ["'=1+1", "'@a", "a=b", ""]
