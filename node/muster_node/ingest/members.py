"""What of an archive is taken in: images, by name and by content; all else is left aside, with the reason."""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePosixPath

from muster_node.labels.names import SUFFIXES

COMPANIONS = frozenset({"#recycle", "$RECYCLE.BIN", "@eaDir", "__MACOSX", "System Volume Information"})
"""Folders that systems put beside people's files."""
LITTER = frozenset({"desktop.ini", "thumbs.db"})
LARGEST = 256 << 20
"""Bytes of one image."""
LARGEST_TABLE = 256 << 20
"""Bytes of a file of labels."""
MOST_FILES = 20_000_000
RATIO = 200
"""What becomes so many times as large, an archive or a member, is none of pictures (gzip ends at 1030)."""
NO_IMAGE = "no image by its name"
SECOND = "a second file of this name"
LONGEST_NAME = 900
"""Bytes; keys of stores end at 1024, and there is something before it."""
HARMLESS = 16 << 20
"""Below so many bytes nobody minds what something becomes."""
_DRIVE = re.compile(r"[A-Za-z]:")
_KINDS = (
    (re.compile(rb"\xff\xd8\xff"), ".jpg"),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), ".png"),
    (re.compile(rb"GIF8[79]a"), ".gif"),
    (re.compile(rb"BM.{4}\0\0\0\0", re.DOTALL), ".bmp"),
    (re.compile(rb"II[*+]\0|MM\0[*+]"), ".tif"),
    (re.compile(rb"RIFF.{4}WEBP", re.DOTALL), ".webp"),
)


def kind_of(content: bytes) -> str:
    """Return the suffix of an image by its first bytes, '' when it is none."""
    return next((suffix for mark, suffix in _KINDS if mark.match(content)), "")


def clean(name: str) -> str:
    """Return a member's path below the data set, '' when it may lead elsewhere."""
    path = name.replace("\\", "/")
    while path.startswith("./"):
        path = path[2:]
    parts = path.split("/")
    if path.startswith("/") or _DRIVE.match(path) or ".." in parts:
        return ""
    return "/".join(part for part in parts if part not in ("", "."))


def refusal(name: str) -> str:
    """Return why a file of this name is not looked at further; '' = it may be one that counts."""
    path = clean(name)
    if not path:
        return "its name leads out of the folder"
    try:
        path.encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    if len(path.encode()) > LONGEST_NAME:
        return f"its name has more than {LONGEST_NAME} bytes"
    if any(unicodedata.category(sign) in ("Cc", "Zl", "Zp") for sign in path):
        return "its name has a line break or another control character"
    parts = PurePosixPath(path).parts
    hidden = any(part.startswith(".") or part in COMPANIONS for part in parts)
    if hidden or parts[-1].lower() in LITTER:
        return "hidden, or a companion of another system"
    return ""


def is_image(name: str) -> bool:
    """Whether a file is an image by its name."""
    return PurePosixPath(name).suffix.lower() in SUFFIXES


def is_table(path: str, inside: str) -> bool:
    """Whether a file is the one with the labels; `inside` is its path or the end of it, '' = none is."""
    return bool(inside) and (path == inside or path.endswith(f"/{inside}"))


def too_large(size: int, packed: int = 0, most: int = LARGEST) -> str:
    """Return why a member of so many bytes is not unpacked, '' = it is.

    `packed`: its bytes in the archive, 0 = unknown.
    """
    if size > most:
        return f"{size >> 20:,} MiB; {most >> 20} are taken"
    if packed and size > HARMLESS and size > RATIO * packed:
        return f"it becomes {size // packed:,} times as large"
    return ""
