"""Images that are larger than wished become smaller, upright; all others stay as they are."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from muster_node.ingest.form import Form, Unreadable, shaped


def picture(size: tuple[int, int], kind: str, mode: str = "RGB", **options) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise(size, 60).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def test_nothing_is_asked():
    assert shaped(b"anything", Form()) == b"anything"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "BMP"])
def test_a_longer_side_becomes_as_long_as_wished(kind):
    made = opened(shaped(picture((300, 200), kind), Form(150)))
    assert (made.size, made.format, made.mode) == ((150, 100), "JPEG", "RGB")


def test_what_is_small_enough_stays_byte_for_byte():
    content = picture((100, 90), "PNG", "P")
    assert shaped(content, Form(100)) == content


def test_a_quality_is_taken_only_where_it_makes_the_file_smaller():
    fine, coarse = picture((90, 90), "JPEG", quality=98), picture((90, 90), "JPEG", quality=20)
    assert len(shaped(fine, Form(0, 50))) < len(fine)
    assert shaped(coarse, Form(0, 90)) == coarse


def test_upright_and_without_transparency():
    exif = Image.Exif()
    exif[0x0112] = 6
    assert opened(shaped(picture((300, 200), "JPEG", exif=exif), Form(150))).size == (100, 150)
    assert opened(shaped(picture((300, 200), "PNG", "RGBA"), Form(150))).mode == "RGB"


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff\xe0 no picture", picture((300, 200), "JPEG")[:900]])
def test_what_cannot_be_read_is_said(content):
    with pytest.raises(Unreadable, match="cannot be read"):
        shaped(content, Form(100))


def test_a_picture_that_fills_the_memory(monkeypatch):
    monkeypatch.setattr("muster_node.ingest.form.MOST_PIXELS", 1000)
    with pytest.raises(Unreadable, match="300 x 200 pixels"):
        shaped(picture((300, 200), "JPEG"), Form(100))
