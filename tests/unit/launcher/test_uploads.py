"""Files of a form, however they come: in pieces, too large, too many, damaged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

import pytest
import uploads as module
from uploads import LARGEST, MOST, Refused, Upload, drain, limited, uploads

KIND = "multipart/form-data; boundary=edge"


def field(name: str, content: bytes) -> bytes:
    head = f'--edge\r\nContent-Disposition: form-data; name="pictures"; filename="{name}"\r\n\r\n'
    return head.encode() + content + b"\r\n"


def form(*files: tuple[str, bytes]) -> bytes:
    return b"".join(field(*file) for file in files) + b"--edge--\r\n"


def read(body: bytes, kind: str = KIND, step: int = 1 << 16) -> list[Upload]:
    return asyncio.run(_read([body[at : at + step] for at in range(0, len(body), step)], kind))


async def _read(chunks: Iterable[bytes], kind: str) -> list[Upload]:
    return [upload async for upload in uploads(_stream(chunks), kind)]


async def _stream(chunks: Iterable[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


@pytest.mark.parametrize("step", [1, 7, 1 << 16])
def test_files_come_as_they_were_sent(step: int) -> None:
    sent = [("a.png", b"\x89PNG\r\n--edg"), ("b ü.png", b""), ("C:\\eyes\\c.jpeg", bytes(range(256)))]
    got = read(form(*sent), step=step)
    assert got == [
        Upload("a.png", sent[0][1]),
        Upload("b ü.png", b""),
        Upload("c.jpeg", sent[2][1]),
    ]


def test_a_form_in_which_nothing_was_chosen_has_no_file() -> None:
    assert read(form(("", b""))) == []
    assert read(b'--edge\r\nContent-Disposition: form-data; name="words"\r\n\r\nhello\r\n--edge--\r\n') == []


def test_a_file_that_is_too_large_is_named_and_not_held() -> None:
    got = read(form(("large.png", b"x" * (LARGEST + 1)), ("next.png", b"y"), ("most.png", b"z" * LARGEST)))
    assert [(each.name, each.content and len(each.content)) for each in got] == [
        ("large.png", None),
        ("next.png", 1),
        ("most.png", LARGEST),
    ]


def test_as_many_as_there_may_be_and_no_more() -> None:
    fifty = [(f"{number}.png", b"x") for number in range(MOST)]
    assert len(read(form(*fifty))) == MOST
    with pytest.raises(Refused, match="At most 50 pictures at a time; choose fewer") as refused:
        read(form(*fifty, ("51.png", b"x")))
    assert refused.value.status == 413


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{}", "application/json", 415),
        (b"a=b", "application/x-www-form-urlencoded", 415),
        (form(("a", b"b")), "multipart/form-data", 415),
        (form(("a", b"b"))[:-8], KIND, 400),
        (b"--edge\r\nno header\r\n\r\n--edge--\r\n", KIND, 400),
        (b"--edge\r\n" + b"x" * 10_000, KIND, 400),
    ],
)
def test_what_is_no_upload_is_refused(body: bytes, kind: str, status: int) -> None:
    with pytest.raises(Refused) as refused:
        read(body, kind)
    assert refused.value.status == status and "\n" not in str(refused.value)


def test_of_an_upload_without_end_no_more_is_read_than_any_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ALL", 100)
    read_so_far = []

    async def endless() -> AsyncIterator[bytes]:
        while True:
            read_so_far.append(1)
            yield b"0123456789"

    async def everything() -> None:
        with pytest.raises(Refused) as refused:
            async for _ in limited(endless()):
                pass
        assert refused.value.status == 413
        await drain(limited(endless()))

    asyncio.run(everything())
    assert len(read_so_far) == 22
