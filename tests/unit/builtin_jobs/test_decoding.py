from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import decoding
import numpy
import pytest
from decoding import MIB, CorruptImage, decode, full_scale
from PIL import Image, PngImagePlugin

RAMP = numpy.tile(numpy.arange(0, 256, 4, dtype=numpy.uint8), (64, 1))


def grey(content: bytes, size: int = 64) -> numpy.ndarray:
    return decode(content, size=size, channels=1).pixels[:, :, 0]


def saved(image: Image.Image, kind: str, **more) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **more)
    return buffer.getvalue()


def wide(samples: numpy.ndarray, kind: str = "TIFF", **more) -> bytes:
    return saved(Image.fromarray(samples), kind, **more)


@pytest.mark.parametrize("mode", ["1", "P", "RGBA", "CMYK", "L"])
def test_any_colour_mode_is_read(mode):
    content = saved(Image.new(mode, (10, 10)), "TIFF")
    assert decode(content, size=16, channels=3).pixels.shape == (10, 10, 3)


@pytest.mark.parametrize(
    "content",
    [
        wide(RAMP.astype(numpy.uint16) * 257, "PNG"),
        wide(RAMP.astype(numpy.uint16) * 257),
        wide(RAMP.astype(numpy.uint16) * 257, compression="tiff_lzw"),
        wide((RAMP.astype(numpy.uint32) * 4095 // 255).astype(numpy.uint16)),
        wide(RAMP.astype(numpy.uint16)),
        wide(RAMP.astype(numpy.int32) * 257),
        wide(RAMP.astype(numpy.int32) * 4095 // 255 - 1024),
        wide(RAMP.astype(numpy.float32) / 255),
        wide(RAMP.astype(numpy.float32)),
        wide(RAMP.astype(numpy.float32) * 257),
        wide(65535 - RAMP.astype(numpy.uint16) * 257, tiffinfo={262: 0}),
    ],
    ids=[
        "16 bits, PNG",
        "16 bits, TIFF",
        "16 bits, compressed",
        "12 bits in 16",
        "8 bits in 16",
        "16 bits in 32",
        "12 bits with a sign",
        "0 to 1",
        "0 to 255 with a point",
        "0 to 65535 with a point",
        "0 is white",
    ],
)
def test_samples_of_more_than_8_bits_are_scaled(content):
    found = grey(content).astype(int)
    assert numpy.abs(found - RAMP).mean() < 3
    assert numpy.array_equal(decode(content, size=64, channels=3).pixels[:, :, 2], found)


def test_big_endian_samples_are_scaled():
    """As other programs write them: Pillow's writer has its own order."""
    samples = (RAMP.astype(">u2") * 257).tobytes()
    tags = [(256, 64), (257, 64), (258, 16), (259, 1), (262, 1), (273, 200), (277, 1), (278, 64), (279, 8192)]
    entries = b"".join(struct.pack(">HHIHH", tag, 3, 1, value, 0) for tag, value in tags)
    head = b"MM\0*" + struct.pack(">IH", 8, len(tags)) + entries + bytes(4)
    content = head.ljust(200, b"\0") + samples
    with Image.open(io.BytesIO(content)) as image:
        assert image.mode == "I;16B"
    assert numpy.abs(grey(content).astype(int) - RAMP).mean() < 3


def test_samples_that_are_no_numbers_leave_the_picture_out():
    samples = RAMP.astype(numpy.float32)
    samples[3, 3] = numpy.nan
    with pytest.raises(CorruptImage, match="no numbers"):
        grey(wide(samples))


@pytest.mark.parametrize(
    ("top", "floating", "white"),
    [(0, False, 255), (255, False, 255), (256, False, 4095), (70_000, False, 70_000), (0, True, 1), (1.2, True, 1.2),
     (4.5, True, 4.5), (200, True, 255)],
)  # fmt: skip
def test_white_is_the_end_of_a_usual_range(top, floating, white):
    assert full_scale(top, floating=floating) == white


def exif(*entries: tuple[int, int, int, bytes], extra: bytes = b"") -> bytes:
    body = b"".join(struct.pack("<HHI4s", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + body + bytes(4) + extra


TURN = (0x112, 3, 1, struct.pack("<HH", 6, 0))


@pytest.mark.parametrize(
    ("block", "shape"),
    [
        (exif(TURN), (96, 64)),
        (exif(TURN, (0x131, 3, 1, b"\1"), (0x132, 5, 1, b"\x32"), extra=struct.pack("<II", 5, 0)), (96, 64)),
        (exif((0x100, 9, 1, struct.pack("<i", -1)), TURN), (96, 64)),
        (exif(TURN, (0x10F, 2, 4000, struct.pack("<I", 60000))), (96, 64)),
        (b"Exif\0\0" + exif(TURN), (96, 64)),
        (exif(TURN, (0x10F, 2, 400, b"\x1a"))[:20], (64, 96)),
        (exif((0x112, 2, 4, b"six\0")), (64, 96)),
        (exif((0x112, 3, 1, struct.pack("<HH", 99, 0))), (64, 96)),
        (b"FIRMWARE 1.02", (64, 96)),
        (b"", (64, 96)),
    ],
)
def test_rubbish_in_exif_costs_no_picture_and_no_turn_that_can_be_read(block, shape):
    jpeg = saved(Image.new("RGB", (96, 64), (200, 90, 40)), "JPEG")
    content = jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 8) + b"Exif\0\0" + block + jpeg[2:]
    assert grey(content).shape == shape


def test_every_turn_is_the_one_that_exif_means():
    corner = numpy.zeros((40, 60), numpy.uint8)
    corner[:10, :10] = 255
    upright = {1: (0, 0), 2: (0, 1), 3: (1, 1), 4: (1, 0), 5: (0, 0), 6: (0, 1), 7: (1, 1), 8: (1, 0)}
    for turn, (row, column) in upright.items():
        tags = Image.Exif()
        tags[0x112] = turn
        found = grey(saved(Image.fromarray(corner), "PNG", exif=tags))
        assert found.shape == ((40, 60) if turn < 5 else (60, 40))
        assert found[-row, -column] == 255, turn


def test_a_tiff_is_turned_once():
    tags = Image.Exif()
    tags[0x112] = 6
    assert grey(saved(Image.fromarray(numpy.zeros((40, 60), numpy.uint8)), "TIFF", exif=tags)).shape == (
        60,
        40,
    )


def test_a_large_profile_costs_no_picture():
    profile = numpy.random.default_rng(1).bytes(2 * MIB)
    assert grey(saved(Image.fromarray(RAMP), "PNG", icc_profile=profile)).shape == RAMP.shape


def test_large_pictures_are_averaged_down():
    small = numpy.random.default_rng(1).integers(0, 256, (50, 2000), dtype=numpy.uint8)
    content = saved(Image.fromarray(small.repeat(3, axis=0).repeat(3, axis=1)), "PNG")
    assert numpy.array_equal(grey(content), small)
    large = numpy.random.default_rng(1).integers(0, 60_000, (2100, 2100), dtype=numpy.uint16)
    large[2000, 2000] = 65535
    wanted = (large.reshape(1050, 2, 1050, 2).mean(axis=(1, 3)) * 255 / 65535).round()
    assert numpy.abs(grey(wide(large)).astype(int) - wanted).max() <= 1
    odd = grey(saved(Image.new("L", (4097, 5), 9), "PNG"))
    assert odd.shape == (2, 1366) and set(odd.ravel().tolist()) == {9}


def giant(side: int) -> bytes:
    """A PNG file of one bit a pixel, made without holding its pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(1)
    rows = b"".join(packer.compress(b"\0" + b"\xf0" * (side // 8)) for _ in range(side)) + packer.flush()
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return PngImagePlugin._MAGIC + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_what_needs_more_memory_than_there_is_is_left_out_with_its_size():
    content = giant(16_000)
    with pytest.raises(
        CorruptImage, match=r"^16000 x 16000 pixels need 245 MiB of memory, a task here has 200$"
    ):
        decode(content, size=16, channels=3, memory=200 * MIB)


@pytest.mark.parametrize(
    ("image", "options", "needed"),
    [
        (Image.new("RGB", (1000, 1000)), {"format": "WEBP"}, 16_000_000),
        (Image.new("RGB", (1000, 1000)), {"format": "JPEG", "progressive": True}, 6_000_000),
        (Image.new("I;16", (1000, 1000)), {"format": "TIFF", "compression": "tiff_lzw"}, 4_000_000),
    ],
    ids=["decoder's copies", "coefficients", "strips"],
)
def test_what_decoders_need_for_themselves_counts(image, options, needed):
    buffer = io.BytesIO()
    image.save(buffer, **options)
    decode(buffer.getvalue(), size=256, channels=3, memory=needed * 3 // 2 + 6_000_000)
    with pytest.raises(CorruptImage, match="1000 x 1000 pixels need"):
        decode(buffer.getvalue(), size=256, channels=3, memory=needed)


def test_memory_stays_within_what_was_given(tmp_path: Path):
    """A process of its own, whose memory the kernel counts."""
    (tmp_path / "giant.png").write_bytes(giant(12_000))
    script = (
        "import resource, sys; from pathlib import Path; from decoding import decode, MIB\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "decode(Path(sys.argv[1]).read_bytes(), size=16, channels=3, memory=200 * MIB)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    words = [sys.executable, "-c", script, str(tmp_path / "giant.png")]
    folder = Path(decoding.__file__).parent
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 200 << 10, "KiB"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no picture format that is known: the file is empty"),
        (b"<!DOCTYPE html><html>", "no picture format that is known: it looks like a web page"),
        (b"\0\0\0\x18ftypheic\0\0", "no picture format that is known: it looks like HEIC"),
        (bytes(128) + b"DICM", "no picture format that is known: it looks like DICOM"),
        (b"no picture", "no picture format that is known"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no picture format that is known"),
    ],
)
def test_reasons_are_the_same_in_any_run(content, said):
    with pytest.raises(CorruptImage) as error:
        grey(content)
    assert str(error.value) == said


def test_no_address_in_memory_is_in_a_reason(monkeypatch):
    def fails(*_args, **_more):
        raise OSError(f"cannot read {io.BytesIO()!r}")

    monkeypatch.setattr(Image, "open", fails)
    with pytest.raises(CorruptImage, match=r"^OSError: cannot read <_io.BytesIO object>$"):
        grey(b"x")


def test_transparency_shows_what_is_behind():
    ink = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    ink.paste((200, 20, 20, 255), (0, 0, 4, 8))
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([200, 20, 20, 0, 0, 0])
    palette.paste(0, (0, 0, 4, 8))
    for content in (
        saved(ink, "PNG"),
        saved(ink, "WEBP", lossless=True),
        saved(palette, "PNG", transparency=1),
        saved(palette, "GIF", transparency=1),
        saved(ink.convert("RGB"), "PNG", transparency=(0, 0, 0)),
    ):
        for behind in (0, 255):
            pixels = decode(content, size=16, channels=3, behind=behind).pixels
            assert pixels[0, 0].tolist() == [200, 20, 20] and pixels[0, 7].tolist() == [behind] * 3
    half = Image.new("LA", (8, 8), (0, 128))
    assert abs(int(grey(saved(half, "PNG"))[0, 0]) - 127) <= 1


def test_inks_of_adobe_are_read_the_right_way_round():
    pixels = decode(saved(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG"), size=16, channels=3).pixels
    assert pixels[8, 8, 0] > 240 and pixels[8, 8, 1:].max() < 15


@pytest.mark.parametrize("kind", ["GIF", "PNG", "TIFF", "WEBP"])
def test_of_several_pictures_in_a_file_the_first_is_taken(kind):
    frames = [Image.new("L", (20, 20), grey).convert("RGB") for grey in (250, 10, 90)]
    several = saved(frames[0], kind, save_all=True, append_images=frames[1:])
    found = decode(several, size=16, channels=1)
    assert found.pixels.min() > 245 and found.notes == ("the first picture of several in its file",)
    assert decode(saved(frames[0], kind), size=16, channels=1).notes == ()


@pytest.mark.parametrize("more", [{}, {"progressive": True}])
def test_half_a_file_is_left_out_with_the_reason(more):
    content = saved(Image.radial_gradient("L"), "JPEG", quality=95, **more)
    with pytest.raises(CorruptImage, match="truncated"):
        grey(content[: len(content) // 2])


def test_numbers_with_a_point_in_any_order_are_scaled():
    """As other programs write them, largest byte first."""
    samples = (RAMP / 255).astype(">f4").tobytes()
    tags = [
        (256, 64),
        (257, 64),
        (258, 32),
        (259, 1),
        (262, 1),
        (273, 200),
        (277, 1),
        (278, 64),
        (279, 16384),
    ]
    entries = b"".join(struct.pack(">HHIHH", tag, 3, 1, value, 0) for tag, value in (*tags, (339, 3)))
    head = b"MM\0*" + struct.pack(">IH", 8, len(tags) + 1) + entries + bytes(4)
    assert numpy.abs(grey(head.ljust(200, b"\0") + samples).astype(int) - RAMP).mean() < 3
