"""Archives of every kind and in parts become the same images, or say in one line what is wrong with them."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zipfile

import libarchive
import pytest

from muster_node import sets
from muster_node.ingest import dealing, pieces, streams
from muster_node.ingest.journal import Journal
from muster_node.ingest.opening import open_sources
from muster_node.ingest.parts import Found, Joined
from muster_node.ingest.pieces import Task
from muster_node.ingest.request import STORE, Archive, BadSource, Labels, Part, Request
from muster_node.stores.base import Settings
from tests.unit.node.ingest.conftest import image

IMAGES = {f"train/{number}_left.jpeg": image(number) for number in range(30)}
IMAGES["train/large.png"] = b"\x89PNG\r\n\x1a\n" + image(99, 300_000)
TABLE = "image,level\n" + "".join(f"{number}_left,{number % 5}\n" for number in range(30))
COMPANIONS = {
    "__MACOSX/train/._1_left.jpeg": b"x",
    "train/.DS_Store": b"x",
    "train/._2_left.jpeg": b"x",
    "readme.txt": b"hello",
    "train/page.jpg": b"<html>",
}
FILES = IMAGES | COMPANIONS | {"trainLabels.csv": TABLE.encode()}


def zipped(files=FILES, **options) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for name, content in files.items():
            with archive.open(name, "w", force_zip64=True) as member:
                member.write(content)
    return buffer.getvalue()


def tarred(files=FILES, **options) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", **options) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def written(kind: str, packed: str | None, files=FILES) -> bytes:
    out = bytearray()
    with libarchive.custom_writer(lambda block: out.extend(block) or len(block), kind, packed) as archive:
        for name, content in files.items():
            archive.add_file_from_memory(name, len(content), content)
    return bytes(out)


KINDS = {
    "train.zip": zipped,
    "train.tar": tarred,
    "train.tar.gz": lambda files=FILES: gzip.compress(tarred(files)),
    "train.tar.zst": lambda files=FILES: written("pax", "zstd", files),
    "train.7z": lambda files=FILES: written("7zip", None, files),
}
LABELS = Labels(inside="trainLabels.csv")


def asked(places, digests=(), whole="", **more) -> Request:
    parts = [Part(place, digest) for place, digest in zip(places, digests or [""] * len(places), strict=True)]
    return Request("eyes", archives=(Archive(tuple(parts), whole),), **({"labels": LABELS} | more))


@pytest.mark.parametrize("parts", [1, 5])
@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_whole_and_in_parts(bring, server, kind, ranges, parts):
    server.ranges = ranges
    request = asked(server.put(f"/{kind}", KINDS[kind](), parts))
    if kind == "train.7z" and not ranges:
        with pytest.raises(BadSource, match=r"7z archive needs a server that gives ranges"):
            bring(request)
        return
    ended = bring(request)
    assert bring.images("eyes") == IMAGES
    assert ended.metrics["images"] == 31 and ended.metrics["labelled"] == 30
    assert bring.read(sets.labels_key("eyes")).startswith("image,label\ntrain/0_left.jpeg,0\n")
    assert sets.image_key("eyes", "train/large.png") in "".join(bring.store.files)
    assert ended.metrics["aside"] == len(COMPANIONS)
    text = (bring.results / "aside.csv").read_text()
    assert all(name in text for name in COMPANIONS)
    assert not [key for key in bring.store.files if "/ingest/" in key], "nothing else stays"
    assert "already" in bring(request).lines[0]


def test_from_the_object_store_itself(bring):
    bring.store.files["/muster/inbox/train.zip"] = zipped()
    bring(asked([f"{STORE}inbox/train.zip"]))
    assert bring.images("eyes") == IMAGES
    with pytest.raises(BadSource, match=r"gone\.zip is missing"):
        bring(asked([f"{STORE}inbox/gone.zip"]))


@pytest.mark.parametrize("kind", ["train.zip", "train.tar.gz"])
def test_checksums_of_parts_and_of_the_whole(bring, server, kind):
    content = KINDS[kind]()
    places = server.put(f"/{kind}", content, 4)
    right = [hashlib.sha256(server.files[place.removeprefix(server.url)]).hexdigest() for place in places]
    with pytest.raises(BadSource, match=rf"{kind}\.003 is not what it should be"):
        bring(asked(places, [*right[:2], right[0], right[3]]))
    bring(asked(places, right))
    assert bring.images("eyes") == IMAGES
    other = asked(places, whole="0" * 32)
    bring.store.files.clear()
    with pytest.raises(BadSource, match="not what it should be"):
        bring(other)
    bring(asked(places, whole=hashlib.md5(content, usedforsecurity=False).hexdigest()))


def test_nothing_stays_of_an_archive_whose_checksum_differs(bring, server, monkeypatch):
    monkeypatch.setattr(pieces, "STREAM_BYTES", 20_000)
    monkeypatch.setattr(streams, "BLOCK", 10_000)
    evil = {name: image(number + 500) for number, name in enumerate(IMAGES)} | {
        "trainLabels.csv": TABLE.encode()
    }
    right, wrong = gzip.compress(tarred(), 0), gzip.compress(tarred(evil | COMPANIONS), 0)
    length = max(len(right), len(wrong))
    right, wrong = right.ljust(length, b"\0"), wrong.ljust(length, b"\0")
    digest = hashlib.sha256(right).hexdigest()
    with pytest.raises(BadSource, match="not what it should be"):
        bring(asked(server.put("/train.tar.gz", wrong), whole=digest))
    assert sum("/ingest/" in key for key in bring.store.files) > 3
    bring(asked(server.put("/train.tar.gz", right), whole=digest))
    assert bring.images("eyes") == IMAGES


class TestParts:
    """Missing, in another order, cut off: the one line names the part."""

    @pytest.fixture
    def places(self, server):
        return server.put("/train.zip", zipped(), 5)

    def test_missing(self, bring, server, places):
        del server.files["/train.zip.003"]
        with pytest.raises(BadSource, match=r"train\.zip\.003 is missing: HTTP 404"):
            bring(asked(places))

    def test_left_out_of_the_description(self, bring, places):
        with pytest.raises(BadSource, match=r"bytes are missing"):
            bring(asked([*places[:2], *places[3:]]))
        with pytest.raises(
            BadSource, match=r"train\.zip\.004 ends no zip archive|does not end a zip archive"
        ):
            bring(asked(places[:4]))
        with pytest.raises(BadSource, match=r"not in their order|begin"):
            bring(asked(places[1:]))

    @pytest.mark.parametrize("order", [(0, 2, 1, 3, 4), (0, 1, 2, 4, 3), (1, 0, 2, 3, 4)])
    def test_another_order(self, bring, places, order):
        with pytest.raises(BadSource, match=r"train\.zip\.00\d .*order"):
            bring(asked([places[index] for index in order]))

    def test_another_order_within_one_member(self, bring, server):
        places = server.put("/one.zip", zipped({"a.jpg": image(1, 50_000), "b.jpg": image(2, 100)}), 5)
        with pytest.raises(
            BadSource, match=r"one\.zip\.001 to one\.zip\.005: a\.jpg is damaged .*in their order"
        ):
            bring(asked([places[0], places[2], places[1], *places[3:]], labels=Labels()))

    @pytest.mark.parametrize("number", [1, 2, 4])
    def test_truncated(self, bring, server, places, number):
        name = f"/train.zip.{number:03d}"
        server.files[name] = server.files[name][:-1000]
        with pytest.raises(BadSource, match=rf"train\.zip\.{number:03d}"):
            bring(asked(places))

    def test_another_order_of_a_stream(self, bring, server):
        places = server.put("/train.tar.gz", KINDS["train.tar.gz"](), 5)
        with pytest.raises(BadSource, match=r"train\.tar\.gz\.00\d, byte .*order"):
            bring(asked([places[0], places[2], places[1], places[3], places[4]]))
        with pytest.raises(BadSource, match=r"train\.tar\.gz\.004, byte .*cut off"):
            bring(asked(places[:4]))

    def test_a_web_page_instead_of_an_archive(self, bring, server):
        with pytest.raises(BadSource, match=r"login\.zip.*no archive that is read here"):
            bring(asked(server.put("/login.zip", b"<html>please log in</html>" * 100)))


class TestResume:
    """What is written down is not fetched again."""

    @pytest.fixture(params=["train.zip", "train.tar", "train.tar.gz"])
    def killed(self, request, bring, server, monkeypatch):
        """A request that was killed when three pieces were written down."""
        monkeypatch.setattr(dealing, "PIECE_BYTES", 20_000)
        monkeypatch.setattr(pieces, "STREAM_BYTES", 20_000)
        write, written = Journal.write, []

        def stop(journal, piece):
            if len(written) == 4:
                raise KeyboardInterrupt
            written.append(piece.name)
            write(journal, piece)

        asked_for = asked(server.put(f"/{request.param}", KINDS[request.param]()))
        with monkeypatch.context() as patch:
            patch.setattr(Journal, "write", stop)
            with pytest.raises(KeyboardInterrupt):
                bring(asked_for)
        server.asked.clear()
        return asked_for

    def test_what_is_written_down_is_not_written_again(self, bring, killed):
        done = {key for key in bring.store.files if "/raw/packs/" in key}
        assert len(done) >= 3
        written = {line.split()[1] for line in bring.store.requests if "PUT" in line}
        noted = {key for key in written if key.endswith(".json")}
        bring.store.requests.clear()
        bring(killed)
        assert bring.images("eyes") == IMAGES
        again = [line.split()[1] for line in bring.store.requests if line.startswith("PUT")]
        assert not (noted - {key for key in noted if key.endswith("/0.json")}) & set(again)
        assert len(set(again) & done) <= 1, "but the piece that was not written down"

    def test_connections_that_break(self, bring, server):
        server.cuts["/train.zip"] = [100, 30_000, 40_000]
        bring(asked(server.put("/train.zip", zipped())))
        assert bring.images("eyes") == IMAGES
        server.ranges = False
        server.cuts["/train.tar.gz"] = [0, 30_000, 100_000]
        bring.store.files.clear()
        bring(asked(server.put("/train.tar.gz", KINDS["train.tar.gz"]())))
        assert bring.images("eyes") == IMAGES

    def test_a_server_that_is_not_well(self, bring, server):
        server.says["/train.zip"] = [503, 429, 500]
        server.headers["/train.zip"] = {"Retry-After": "0"}
        bring(asked(server.put("/train.zip", zipped())))
        assert bring.images("eyes") == IMAGES


class TestChanged:
    """What is written down counts for the very same source and wishes alone."""

    @pytest.fixture
    def killed(self, monkeypatch):
        """Bring something in, but be killed when a few pieces are written down."""

        def kill(bring, request, after=3):
            write, written = Journal.write, []

            def stop(journal, piece):
                if len(written) > after:
                    raise KeyboardInterrupt
                written.append(piece.name)
                write(journal, piece)

            with monkeypatch.context() as patch:
                patch.setattr(Journal, "write", stop)
                with pytest.raises(KeyboardInterrupt):
                    bring(request)

        monkeypatch.setattr(dealing, "PIECE_BYTES", 20_000)
        monkeypatch.setattr(pieces, "STREAM_BYTES", 20_000)
        return kill

    def test_checksums_are_added(self, bring, server, killed):
        places = server.put("/train.zip", zipped(), 3)
        killed(bring, asked(places))
        right = [hashlib.sha256(server.files[f"/train.zip.00{number}"]).hexdigest() for number in (1, 2, 3)]
        bring(asked(places, right))
        assert bring.images("eyes") == IMAGES, "pieces of another cut are not taken for these"

    @pytest.mark.parametrize("kind", ["train.zip", "train.tar"])
    def test_the_file_behind_an_address(self, bring, server, killed, kind):
        if kind == "train.tar":
            server.headers["/train.tar"] = {"ETag": '"1"'}
        places = server.put(f"/{kind}", KINDS[kind]())
        killed(bring, asked(places))
        server.headers["/train.tar"] = {"ETag": '"2"'}
        other = {name: content[:-1] + b"!" for name, content in IMAGES.items()}
        server.put(f"/{kind}", KINDS[kind](FILES | other))
        bring(asked(places))
        assert bring.images("eyes") == other

    def test_the_name_of_the_labels_in_a_stream(self, bring, server):
        places = server.put("/train.tar", tarred())
        with pytest.raises(BadSource, match=r"no labels file other\.csv"):
            bring(asked(places, labels=Labels(inside="other.csv")))
        assert bring(asked(places)).metrics["labelled"] == 30

    @pytest.mark.parametrize("kind", ["train.zip", "train.tar"])
    def test_kind_or_labels_of_what_is_there(self, bring, server, kind):
        places = server.put(f"/{kind}", KINDS[kind]())
        bring(asked(places))
        for more in ({"kind": "eye"}, {"labels": Labels(inside="trainLabels.csv", on_bad="drop")}):
            with pytest.raises(BadSource, match=r"has eyes, of another kind or with other labels, already"):
                bring(asked(places, **more))
        assert "already" in bring(asked(places)).lines[0]

    def test_the_column_that_a_sample_is_drawn_by(self, bring, server, killed):
        rows = "".join(f"{number}_left,{number % 5},{number % 2}\n" for number in range(30))
        (bring.here / "labels.csv").write_text(f"image,level,side\n{rows}")
        places = server.put("/train.zip", zipped(IMAGES))
        killed(bring, asked(places, labels=Labels(column="level"), sample=0.6), after=2)
        by_side = asked(places, labels=Labels(column="side"), sample=0.6)
        bring(by_side)
        resumed = set(bring.images("eyes"))
        bring.store.files.clear()
        bring(by_side)
        assert set(bring.images("eyes")) == resumed

    @pytest.mark.parametrize("what", ["longer", "shorter", "other"])
    def test_between_two_requests(self, bring, server, what):
        content = tarred()
        places = server.put("/train.tar", content)
        server.headers["/train.tar"] = {"ETag": '"1"'}
        opened = open_sources(asked(places), bring.here)
        server.headers["/train.tar"] = {"ETag": '"2"' if what == "other" else '"1"'}
        server.files["/train.tar"] = {"longer": content + b"x", "shorter": content[:-1], "other": content}[
            what
        ]
        wrong = pieces.work(dealing.lanes(opened.pieces, 1, 1)[0], opened.task)
        assert wrong == ["train.tar: it has changed at its server meanwhile"]

    @pytest.mark.parametrize("place", ["bytes 5-9/10", "", "bytes 0-{last}/{size}", "bytes 700-{last}/999"])
    def test_a_server_that_gives_another_place(self, bring, server, place):
        content = zipped(IMAGES)
        places = server.put("/train.zip", content)
        opened = open_sources(asked(places, labels=Labels()), bring.here)
        said = place.format(last=len(content) - 1, size=len(content))
        server.headers["/train.zip"] = {"Content-Range": said}
        stream = Joined(opened.task.reach(), opened.task.found[0], skipped=0)
        stream.seek(700)
        with pytest.raises(BadSource, match=r"train\.zip: its server gives .*, asked for 700 on"):
            stream.read(10)

    def test_what_comes_beyond_the_end_of_a_part_is_not_read(self, bring, server):
        places = server.put("/train.zip", b"0123456789")
        found = (Found(Part(places[0]), 4, ranges=False), Found(Part(places[0]), 10, ranges=True))
        reach = Task(asked(places), "", Settings.load()).reach()
        reach.open = lambda *_: io.BytesIO(b"0123456789")
        assert Joined(reach, found).read(100) == b"0123"


class TestEvil:
    """What leads elsewhere, and what blows up."""

    def test_names_links_and_devices(self, bring, server):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for name in (
                "../up.jpg",
                "/etc/root.jpg",
                "a/../../b.jpg",
                "C:\\x.jpg",
                "line\nbreak.jpg",
                "ok.jpg",
            ):
                entry = tarfile.TarInfo(name)
                entry.size = 1004
                archive.addfile(entry, io.BytesIO(image(1, 1000)))
            for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
                entry = tarfile.TarInfo(f"odd{kind.decode()}.jpg")
                entry.type, entry.linkname = kind, "/etc/passwd"
                archive.addfile(entry)
        ended = bring(asked(server.put("/evil.tar", buffer.getvalue()), labels=Labels()))
        assert list(bring.images("eyes")) == ["ok.jpg"]
        assert ended.metrics["aside"] == 9
        text = (bring.results / "aside.csv").read_text()
        assert "leads out of the folder" in text and "a link" in text and "neither a file" in text

    def test_names_in_a_zip(self, bring, server):
        files = {"../up.jpg": image(1), "a\\b.jpg": image(2), "ok.jpg": image(3)}
        ended = bring(asked(server.put("/evil.zip", zipped(files)), labels=Labels()))
        assert set(bring.images("eyes")) == {"a/b.jpg", "ok.jpg"}
        assert ended.metrics["aside"] == 1

    def test_a_name_twice(self, bring, server):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("a.jpg", image(1))
            with pytest.warns(UserWarning, match="Duplicate"):
                archive.writestr("a.jpg", image(2))
        bring(asked(server.put("/twice.zip", buffer.getvalue()), labels=Labels()))
        assert bring.images("eyes") == {"a.jpg": image(1)}
        assert "a second file" in (bring.results / "aside.csv").read_text()

    @pytest.mark.parametrize("packed", [True, False])
    def test_a_name_twice_in_a_stream(self, bring, server, packed, monkeypatch):
        monkeypatch.setattr(pieces, "STREAM_BYTES", 3000)
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for number, name in enumerate(("a.jpg", "b.jpg", "./a.jpg", "x//c.jpg", "x/c.jpg", "a.jpg")):
                entry = tarfile.TarInfo(name)
                entry.size = 5004
                archive.addfile(entry, io.BytesIO(image(number)))
        content = gzip.compress(buffer.getvalue()) if packed else buffer.getvalue()
        ended = bring(asked(server.put("/twice.tar", content), labels=Labels()))
        assert bring.images("eyes") == {"a.jpg": image(0), "b.jpg": image(1), "x/c.jpg": image(3)}
        assert (ended.metrics["images"], ended.metrics["aside"]) == (3, 3)
        assert (bring.results / "aside.csv").read_text().count("a second file of this name") == 3

    @pytest.mark.parametrize("kind", [zipped, tarred])
    def test_names_that_no_store_takes(self, bring, server, kind):
        files = {"ok.jpg": image(1), f"{'é' * 500}.jpg": image(2, 300_000)}
        ended = bring(asked(server.put("/long.zip", kind(files)), labels=Labels()))
        assert list(bring.images("eyes")) == ["ok.jpg"] and ended.metrics["aside"] == 1
        assert "its name has more than 900 bytes" in (bring.results / "aside.csv").read_text()

    @pytest.mark.parametrize("kind", ["train.zip", "train.tar"])
    def test_two_files_of_labels(self, bring, server, kind):
        more = IMAGES | {"a/trainLabels.csv": TABLE.encode(), "b/trainLabels.csv": b"image,level\n0_left,9\n"}
        ended = bring(asked(server.put(f"/{kind}", KINDS[kind](more))))
        assert (ended.metrics["labelled"], ended.metrics["aside"]) == (30, 1)

    def test_the_same_name_in_two_archives(self, bring, server):
        places = server.put("/a.zip", zipped({"a.jpg": image(1)})) + server.put(
            "/b.zip", zipped({"a.jpg": image(2)})
        )
        archives = tuple(Archive((Part(place),)) for place in places)
        with pytest.raises(BadSource, match=r"two archives have a\.jpg"):
            bring(Request("eyes", archives=archives))

    @pytest.mark.parametrize("kind", ["zip", "tar.gz"])
    def test_bombs(self, bring, server, kind):
        bomb = bytes(30 << 20)
        files = {"ok.jpg": image(1), "bomb.jpg": b"\xff\xd8\xff" + bomb}
        if kind == "zip":
            ended = bring(asked(server.put("/bomb.zip", zipped(files)), labels=Labels()))
            assert list(bring.images("eyes")) == ["ok.jpg"]
            assert (
                "times as large" in (bring.results / "aside.csv").read_text() and ended.metrics["aside"] == 1
            )
        else:
            with pytest.raises(BadSource, match="times as large"):
                bring(asked(server.put("/bomb.tar.gz", gzip.compress(tarred(files))), labels=Labels()))

    def test_a_directory_that_lies(self, bring, server):
        content = bytearray(zipped({"a.jpg": image(1)}))
        at = content.index(b"PK\x01\x02")
        content[at + 24 : at + 28] = (10_000).to_bytes(4, "little")
        with pytest.raises(BadSource, match=r"evil\.zip: a\.jpg is damaged"):
            bring(asked(server.put("/evil.zip", bytes(content)), labels=Labels()))

    def test_an_encrypted_member(self, bring, server):
        content = bytearray(zipped({"a.jpg": image(1), "b.jpg": image(2)}))
        at = content.index(b"PK\x01\x02")
        content[at + 8] |= 1
        bring(asked(server.put("/secret.zip", bytes(content)), labels=Labels()))
        assert list(bring.images("eyes")) == ["b.jpg"]
        assert "encrypted" in (bring.results / "aside.csv").read_text()


class TestLabels:
    def test_beside_the_description(self, bring, server):
        (bring.here / "labels.csv").write_text(TABLE)
        bring(asked(server.put("/train.zip", zipped(IMAGES)), labels=Labels()))
        assert bring.read(sets.labels_key("eyes")).count("\n") == 31

    def test_by_address(self, bring, server):
        where = server.put("/l.csv", TABLE.encode())[0]
        bring(asked(server.put("/train.zip", zipped(IMAGES)), labels=Labels(where=where)))
        assert bring.read(sets.labels_key("eyes")).count("\n") == 31

    @pytest.mark.parametrize("kind", ["train.zip", "train.tar"])
    def test_not_there(self, bring, server, kind):
        with pytest.raises(BadSource, match=r"no labels file other\.csv .*trainLabels\.csv"):
            bring(asked(server.put(f"/{kind}", KINDS[kind]()), labels=Labels(inside="other.csv")))

    def test_mended_without_fetching_again(self, bring, server):
        places = server.put("/train.zip", zipped(IMAGES))
        (bring.here / "labels.csv").write_text(f"{TABLE}nobody,1\n")
        with pytest.raises(Exception, match="nobody"):
            bring(asked(places, labels=Labels()))
        assert "nobody" in (bring.results / "label_report.csv").read_text()
        (bring.here / "labels.csv").write_text(TABLE)
        bring.store.requests.clear()
        bring(asked(places, labels=Labels()))
        assert not [line for line in bring.store.requests if line.startswith("PUT") and "/raw/packs/" in line]

    @pytest.mark.parametrize("kind", ["train.zip", "train.tar.gz"])
    def test_a_sample(self, bring, server, kind):
        ended = bring(asked(server.put(f"/{kind}", KINDS[kind]()), sample=0.4))
        names = set(bring.images("eyes"))
        assert 5 <= len(names) < 25 and ended.metrics["images"] + ended.metrics["not_drawn"] in (31, 32)
        assert ended.metrics["labelled"] == len(names - {"train/large.png"})
        if kind == "train.zip":
            labels = [
                line.rpartition(",")[2] for line in bring.read(sets.labels_key("eyes")).splitlines()[1:]
            ]
            assert sorted(set(labels)) == list("01234"), "every class has its share"
