"""Lists of addresses: images and labels come of them whatever servers do, and what does not come is said."""

from __future__ import annotations

import csv
import io
import json

import pytest
from PIL import Image

from muster_node import sets
from muster_node.ingest import dealing, lists
from muster_node.ingest.lists import Listed
from muster_node.ingest.request import BadSource, Labels, Request, UrlList
from muster_node.labels.report import LabelsError
from tests.unit.node.ingest.conftest import image


def photograph(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((width, height), 80).convert("RGB").save(buffer, "JPEG", quality=98)
    return buffer.getvalue()


@pytest.fixture
def listed(server, bring):
    """A list of twenty images, of which some servers make trouble; every one has two labels."""
    rows = []
    for number in range(20):
        place = server.put(f"/images/{number}.jpg?token=secret", b"")[0]
        server.files[f"/images/{number}.jpg"] = image(number)
        rows.append({"id": f"im{number}", "url": [place], "labels": [f"l{number % 3}", "all"]})
    server.put("/list.json", json.dumps(rows).encode())
    return rows


@pytest.fixture
def asked(server):
    """A list by address: images on that very host may be anywhere."""

    def make(per_host=8, **more) -> Request:
        urls = UrlList(f"{server.url}/list.json", per_host)
        return Request("web", urls=urls, labels=Labels(multi_label=True), **more)

    return make


def failed(bring) -> dict[str, str]:
    with (bring.results / "failed.csv").open() as file:
        return {row["image"]: row["why"] for row in csv.DictReader(file)}


def test_all_come_with_their_labels(bring, server, asked, listed):
    server.says = {"/images/3.jpg": [500, 502], "/images/4.jpg": [429, 429]}
    server.headers = {"/images/4.jpg": {"Retry-After": "0"}}
    server.cuts = {"/images/5.jpg": [0, 100]}
    ended = bring(asked())
    assert bring.images("web") == {f"im{number}.jpg": image(number) for number in range(20)}
    rows = list(csv.reader(io.StringIO(bring.read(sets.labels_key("web")))))
    assert rows[1] == ["im0.jpg", "all|l0"]
    assert ended.metrics["labelled"] == 20 and ended.metrics["classes"] == 4
    assert not (bring.results / "failed.csv").exists()


def test_what_does_not_come_is_said(bring, server, asked, listed):
    del server.files["/images/3.jpg"]
    server.files["/images/4.jpg"] = b"<html>gone</html>"
    server.says = {"/images/5.jpg": [503] * 100}
    listed[6]["url"] = ["http://127.0.0.2:1/x.jpg"]
    listed[7]["url"] = ["file:///etc/passwd"]
    listed[8]["url"] = ["http://no.such.host.invalid/x.jpg", listed[8]["url"][0]]
    server.put("/list.json", json.dumps(listed).encode())
    ended = bring(asked())
    found = failed(bring)
    assert set(found) == {"im3", "im4", "im5", "im6", "im7"}
    assert found["im3"] == "HTTP 404 Not Found" and found["im4"] == "what comes is no image"
    assert found["im5"].startswith("HTTP 503") and "no place of the web" in found["im6"]
    assert "no http(s) address" in found["im7"]
    assert ended.metrics["failed"] == 5 and ended.metrics["images"] == 15
    assert any("5 images did not come" in line for line in ended.lines)


def test_once_more_at_the_end(bring, server, asked, listed):
    server.says = {"/images/5.jpg": [503] * 7}
    ended = bring(asked())
    assert ended.metrics["failed"] == 0 and ended.metrics["images"] == 20


def test_redirects_lead_nowhere_near(bring, server, asked, listed):
    for number, place in enumerate(
        (
            "file:///etc/passwd",
            "http://169.254.169.254/latest/meta-data/",
            "http://[::1]:1/",
            "http://127.0.0.2/x",
        )
    ):
        server.says[f"/images/{number}.jpg"] = [302] * 9
        server.headers[f"/images/{number}.jpg"] = {"Location": place}
    server.says["/images/9.jpg"] = [302] * 20
    server.headers["/images/9.jpg"] = {"Location": "/images/9.jpg"}
    bring(asked())
    found = failed(bring)
    assert set(found) == {"im0", "im1", "im2", "im3", "im9"}
    assert "169.254.169.254" in found["im1"] and "on and on" in found["im9"]


def test_one_evil_redirect_costs_one_image(bring, server, asked, listed):
    for number, place in enumerate(("http://[", "http://a:b:c/", "//", "http://a b/", "http://%%%/")):
        server.says[f"/images/{number}.jpg"] = [302] * 99
        server.headers[f"/images/{number}.jpg"] = {"Location": place}
    assert bring(asked()).metrics["images"] == 15


def test_a_server_that_comes_back_is_asked_again(bring, server, asked, listed):
    server.says = {f"/images/{number}.jpg": [503] * 99 for number in range(20)}
    with pytest.raises(BadSource, match="no image came of it"):
        bring(asked())
    server.says = {"/images/3.jpg": [503] * 99}
    (bring.here / "labels.csv").write_text("image,label\nnobody,1\n")
    with pytest.raises(LabelsError):
        bring(asked())
    (bring.here / "labels.csv").unlink()
    server.says, count = {}, len(server.asked)
    ended = bring(asked())
    assert (ended.metrics["images"], ended.metrics["labelled"], ended.metrics["failed"]) == (20, 20, 0)
    assert server.asked[count:] == ["/list.json", "/images/3.jpg"]


def test_one_that_cannot_be_made_smaller_stops_nothing(bring, server, asked, listed):
    for number in range(1, 20):
        server.files[f"/images/{number}.jpg"] = photograph(90, 90)
    ended = bring(asked(size=50))
    assert (ended.metrics["images"], ended.metrics["labelled"], ended.metrics["aside"]) == (19, 19, 1)


def test_one_bad_address_in_a_list_without_names():
    rows = [{"url": "http://a/x.jpg"}, {"url": "http://[/y.jpg"}]
    found = lists.parse(json.dumps(rows).encode(), "l", multi_label=False)
    assert [each.name for each in found] == ["1", "2"]


def test_few_at_a_time_from_one_host(bring, server, asked, listed):
    bring(asked(per_host=2))
    assert server.busiest <= 2


@pytest.mark.parametrize(
    ("cores", "per_host", "pieces"), [(2, 8, 10), (40, 8, 10), (4, 3, 2), (1, 1, 5), (16, 8, 0)]
)
def test_all_lanes_together_keep_to_the_limit(cores, per_host, pieces):
    work = dealing.url_pieces([Listed(str(number), ("http://h/",)) for number in range(pieces * 100)], "u")
    lanes = dealing.lanes(work, cores, per_host)
    assert sum(lane.per_host for lane in lanes) <= per_host
    assert sorted(piece.name for lane in lanes for piece in lane.pieces) == [piece.name for piece in work]


def test_size_quality_and_sample(bring, server, asked, listed):
    for number in range(20):
        server.files[f"/images/{number}.jpg"] = photograph(400, 200) if number else photograph(90, 90)
    bring(asked(size=100, quality=50, sample=0.5))
    found = bring.images("web")
    assert 8 <= len(found) <= 12
    sizes = {Image.open(io.BytesIO(content)).size for content in found.values()}
    assert sizes <= {(100, 50), (90, 90)}
    labels = {row.rpartition(",")[2] for row in bring.read(sets.labels_key("web")).splitlines()[1:]}
    assert labels == {"all|l0", "all|l1", "all|l2"}, "each class has its share"


def test_labels_of_images_that_fail_are_no_mistake(bring, server, asked, listed):
    for number in range(10):
        del server.files[f"/images/{number}.jpg"]
    ended = bring(asked())
    assert ended.metrics["labelled"] == 10


def test_nothing_comes(bring, server, asked, listed):
    server.files = {"/list.json": server.files["/list.json"]}
    with pytest.raises(BadSource, match=r"no image came of it \(HTTP 404"):
        bring(asked())


def test_a_list_that_is_not_there(bring, server, asked):
    with pytest.raises(BadSource, match=r"the list of images cannot be fetched: HTTP 404"):
        bring(asked())


def test_a_list_of_this_computer_leads_to_no_node_itself(bring, listed):
    (bring.here / "list.json").write_text(json.dumps(listed))
    with pytest.raises(BadSource, match=r"no image came of it \(it leads to 127\.0\.0\.1"):
        bring(Request("web", urls=UrlList(), labels=Labels(multi_label=True)))


class TestShapes:
    def test_of_a_competition(self):
        known = {
            "images": [
                {"image_id": 1, "url": ["http://a/x.jpg"]},
                {"image_id": "2", "url": "http://a/y.jpg"},
            ],
            "annotations": [{"image_id": "1", "label_id": [5, 7]}, {"image_id": 2, "label_id": ["9"]}],
        }
        assert lists.parse(json.dumps(known).encode(), "l", multi_label=True) == [
            Listed("1", ("http://a/x.jpg",), "5|7"),
            Listed("2", ("http://a/y.jpg",), "9"),
        ]

    def test_plain_takes_names_from_addresses(self):
        rows = [{"url": "http://a/x.jpg?size=3", "labels": "b"}, {"url": "http://a/y%20z.jpg"}]
        assert lists.parse(json.dumps(rows).encode(), "l", multi_label=False) == [
            Listed("x", ("http://a/x.jpg?size=3",), "b"),
            Listed("y z", ("http://a/y%20z.jpg",)),
        ]
        rows = [{"url": "http://a/x.jpg"}, {"url": "http://b/x.jpg"}]
        assert [each.name for each in lists.parse(json.dumps(rows).encode(), "l", multi_label=False)] == [
            "1",
            "2",
        ]

    @pytest.mark.parametrize(
        ("content", "why"),
        [
            ("{", "is no JSON"),
            ("[" * 100_000, "is no JSON"),
            ("[]", "lists no images"),
            ("7", "has another shape"),
            ('{"rows": []}', "has another shape"),
            ('[{"href": "http://a/"}]', "has another shape"),
            ('[{"id": "../x", "url": "http://a/"}]', "no name of an image"),
            ('[{"id": "x", "url": []}]', "has no address"),
            ('[{"url": []}]', "has another shape"),
            ('[{"id": "x", "url": "http://a/"}, {"id": "./x", "url": "http://b/"}]', "has x 2 times"),
            ('[{"id": "x", "url": "http://a/"}, {"id": "x", "url": "http://b/"}]', "has x 2 times"),
            ('[{"id": "x", "url": "http://a/", "labels": ["a", "b"]}]', "say multi_label: true"),
            ('[{"id": "x", "url": "http://a/", "labels": ["a|b"]}]', "a label with"),
        ],
    )
    def test_refused_in_one_line(self, content, why):
        with pytest.raises(BadSource, match=why) as caught:
            lists.parse(content.encode(), "train.json", multi_label=False)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 300
