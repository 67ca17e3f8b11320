"""What tells a folder of images from the one that was sent: kept in the object store, and with each set."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from muster_node.labels.reading import DROP
from provision.core.errors import DatasetError
from provision.data.labels import Source, look, scan


def fingerprint(source: Source) -> dict[str, Any]:
    """Return it: how many images, and digests of their names and sizes, and of the labels."""
    lines = (f"{path.stat().st_size} {name}\n" for name, path in sorted(source.images.items()))
    return {
        "images": len(source.images),
        "files": _digest("".join(lines)),
        "labels": _digest(source.labels_csv()),
    }


def require_unchanged(
    name: str, folder: Path, labels: str, sent: Mapping[str, Any], *, multi_label: bool = False
) -> None:
    """Raise DatasetError when a folder is not as it was when it was sent.

    A folder that is gone, or whose images are, is no longer needed and changes nothing; nor do rows of its
    labels that give none.

    Args:
        name: the data set.
        folder: its source.
        labels: see `scan`.
        sent: the fingerprint that was written then; {} = none was.
        multi_label: see `scan`.
    """
    if not sent or not folder.is_dir() or not look(folder).images:
        return
    now = fingerprint(scan(folder, labels, multi_label=multi_label, on_bad=DROP))
    changed = ["other labels"] if now["labels"] != sent.get("labels") else []
    if now["images"] != sent.get("images"):
        changed.append(f"{sent.get('images')} images then, {now['images']} now")
    elif now["files"] != sent.get("files"):
        changed.append("other names or sizes of images")
    if changed:
        raise DatasetError(
            where=str(folder),
            what=f"is not what was sent to the object store as {name} ({'; '.join(changed)})",
            remedy=f"To use it as it is now, run ./muster data rm {name}, then main.yml; "
            "to keep both, give it another dataset.name; to use what was sent, put the folder back.",
        )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
