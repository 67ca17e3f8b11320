"""Debian's package index as texts with labels: a package's section, its name and description."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

CAT = "/usr/lib/apt/apt-helper"
FIELD = re.compile(r"([A-Za-z0-9-]+): ?(.*)")
Stanza = dict[str, str]


class NoPackages(Exception):
    """The index cannot be had; the text is one line."""


def stanzas(lines: Iterable[str]) -> Iterator[Stanza]:
    """Yield each paragraph of an index as field -> text; lines that go on are joined with blanks."""
    current: Stanza = {}
    name = ""
    for line in lines:
        if not line.strip():
            if current:
                yield current
            current, name = {}, ""
        elif line[0] in " \t":
            if name:
                current[name] += " " + line.strip()
        elif field := FIELD.match(line.rstrip("\n")):
            name = field[1]
            current[name] = field[2]
    if current:
        yield current


def descriptions(translations: Iterable[Stanza]) -> Mapping[str, str]:
    """Return the long descriptions by the digest that the index of packages has of them."""
    return {
        one["Description-md5"]: one.get("Description-en", "")
        for one in translations
        if "Description-md5" in one
    }


def texts(packages: Iterable[Stanza], long: Mapping[str, str]) -> Iterator[str]:
    """Yield `section<TAB>name description` for every package once; sections lose their archive's area."""
    seen = set()
    for one in packages:
        name, section = one.get("Package", ""), one.get("Section", "").rpartition("/")[2]
        text = long.get(one.get("Description-md5", "")) or one.get("Description", "")
        if name and section and text and name not in seen:
            seen.add(name)
            yield f"{section}\t{name} {' '.join(text.split())}"


def fetch() -> Iterator[str]:
    """Yield the texts of the package index that this machine's apt is set up for.

    apt brings it into a folder that is the user's own, checks its signature, and needs no root. Raises
    NoPackages: it cannot.
    """
    with tempfile.TemporaryDirectory(prefix="packages-") as folder:
        Path(folder, "lists", "partial").mkdir(parents=True)
        own = [
            "-q", "-o", f"Dir::State::lists={folder}/lists", "-o", f"Dir::Cache={folder}",
            "-o", "Acquire::Languages=en", "-o", "APT::Update::Error-Mode=any",
        ]  # fmt: skip
        _apt("apt-get", *own, "update")
        kinds = [
            _apt("apt-get", *own, "indextargets", "--format", "$(FILENAME)", f"Created-By: {kind}").split()
            for kind in ("Packages", "Translations")
        ]
        packages, translations = (stanzas(_lines(sorted(set(files)))) for files in kinds)
        yield from texts(packages, descriptions(translations))


def _lines(files: Iterable[str]) -> Iterator[str]:
    for file in files:
        yield from _apt(CAT, "cat-file", file).splitlines()
        yield ""


def _apt(*command: str) -> str:
    environment = os.environ | {"LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            check=True,
            timeout=300,
        )
    except (OSError, subprocess.SubprocessError) as error:
        told = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
        raise NoPackages(f"apt brings no package index: {told[-1] if told else error}") from error
    return done.stdout
