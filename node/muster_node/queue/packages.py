"""A job's own Python packages: installed once for each list, beside what the cluster itself runs on.

Spark's Python side has to be of the version of its Java side, so a list cannot replace it: for pip it is
installed already, in that version.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO

from muster_node.queue import records
from muster_node.queue.records import Refused

BUILT = ".complete"
CLUSTERS = ("pyspark", "py4j")
"""Packages that are the cluster's, whatever a list says."""
_VERSION = re.compile(r"^__version__\b[^=]*=\s*['\"]([^'\"]+)", re.MULTILINE)
_NAME = re.compile(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)")


def install(requirements: Path, *, python: str, python_path: Iterable[str], log: IO[bytes]) -> Path:
    """Install a list as `_install` does, one run after another: several may begin on one machine at once."""
    (records.ROOT / "deps").mkdir(exist_ok=True)
    with records.locked("deps"):
        return _install(requirements, python=python, python_path=python_path, log=log)


def _install(requirements: Path, *, python: str, python_path: Iterable[str], log: IO[bytes]) -> Path:
    """Install a requirements.txt into a folder named by its digest, once; returns that folder.

    The folder holds `site` (for the driver) and `site.zip` (unpacked by every executor).

    Args:
        requirements: the list.
        python: the Python of jobs.
        python_path: folders with what the cluster runs on, which stays as it is.
        log: gets pip's words, and which lines are left out.

    Raises:
        Refused: pip fails, or a package brings another pyspark or py4j.
    """
    own = versions(python_path)
    text, left_out = without(requirements.read_text(encoding="utf-8"), own)
    for line, name in left_out:
        log.write(
            f"requirements.txt: {line} is left out: jobs use the cluster's {name} {own[name]}\n".encode()
        )
    version = subprocess.run([python, "-V"], capture_output=True, check=True).stdout
    digest = hashlib.sha256(f"{text}\n{own}".encode() + version).hexdigest()[:16]
    target = records.ROOT / "deps" / digest
    if (target / BUILT).exists():
        return target
    shutil.rmtree(target, ignore_errors=True)
    (target / "site").mkdir(parents=True)
    stubs = [_stub(target, name, number, hashed="--hash" in text) for name, number in own.items()]
    (target / "requirements.txt").write_text("\n".join([text, *stubs, ""]), encoding="utf-8")
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    # A list with hashes is complete but for what it leaves to the cluster's own packages.
    pip += ["--no-deps"] if "--hash" in text else []
    done = subprocess.run(
        [*pip, "--target", str(target / "site"), "-r", str(target / "requirements.txt")],
        stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False,
    )  # fmt: skip
    if done.returncode:
        raise Refused("the packages of requirements.txt could not be installed; pip's words are above")
    for name in own:
        if (target / "site" / name).exists():
            raise Refused(
                f"a package of requirements.txt brings a {name} of its own; the cluster's is {own[name]}"
            )
    pack(target / "site", target / "site.zip")
    (target / BUILT).touch()
    return target


def versions(python_path: Iterable[str]) -> dict[str, str]:
    """Return the versions of what the cluster runs on, as far as the folders have it."""
    files = {name: Path(folder) / name / "version.py" for folder in python_path for name in CLUSTERS}
    texts = {name: path.read_text(encoding="utf-8") for name, path in files.items() if path.is_file()}
    return {name: found[1] for name, text in texts.items() if (found := _VERSION.search(text))}


def without(text: str, own: Mapping[str, str]) -> tuple[str, list[tuple[str, str]]]:
    """Return a list without the lines that ask for a package of the cluster's, and these lines.

    Args:
        text: a requirements.txt.
        own: the cluster's packages.

    Returns:
        the rest of the text; of each line that is left out, what it asked for and the package's name.
    """
    kept, left_out = [], []
    for line in _logical_lines(text):
        found = _NAME.match(line)
        name = re.sub(r"[-_.]+", "-", found[1]).lower() if found else ""
        if name in own:
            left_out.append((re.split(r"\s*(?:[\\;\n]|\s#|\s--)", line, maxsplit=1)[0].strip(), name))
        else:
            kept.append(line)
    return "".join(kept), left_out


def pack(folder: Path, target: Path) -> None:
    """Write the files in `folder` into a zip file, without byte code."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                archive.write(path, path.relative_to(folder))


def _logical_lines(text: str) -> Iterator[str]:
    """Yield the lines of a requirements.txt; one that ends with a backslash goes on in the next."""
    begun = ""
    for line in text.splitlines(keepends=True):
        begun += line
        if not line.rstrip("\r\n").endswith("\\"):
            yield begun
            begun = ""
    if begun:
        yield begun


def _stub(folder: Path, name: str, version: str, *, hashed: bool) -> str:
    """Make a wheel that brings nothing but says that a package is there; return the line that asks for it."""
    wheel, info = folder / f"{name}-{version}-py3-none-any.whl", f"{name}-{version}.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(
            f"{info}/WHEEL",
            "Wheel-Version: 1.0\nGenerator: muster\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr(f"{info}/RECORD", "")
    line = f"{name} @ {wheel.as_uri()}"
    return f"{line} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}" if hashed else line
