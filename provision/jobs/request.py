"""What is submitted: which kind of program it is, its run's id, and the files that go with it."""

from __future__ import annotations

import io
import json
import os
import re
import secrets
import tarfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from provision.core.errors import BadJob

MAIN_FILES = ("main.py", "__main__.py")
LEFT_OUT = frozenset(
    (
        ".git",
        ".hg",
        ".svn",
        ".venv",
        "venv",
        "__pycache__",
        ".mypy_cache",
        ".ruff_cache",
        ".pytest_cache",
        ".muster",
    )
)
LARGEST_BYTES = 2 * 2**30
"""A program is code; data belongs into HDFS."""


@dataclass(frozen=True)
class JobRequest:
    """One submission.

    Fields: `kind` (builtin, python, folder, jar, shell), `entry` (the program's path in what is shipped, or
    the shell command), `files` (path here -> path there), `deps` (a requirements.txt of this run), `env`
    (for this run).
    """

    run: str
    name: str
    kind: str
    entry: str
    args: tuple[str, ...] = ()
    main_class: str = ""
    files: tuple[tuple[Path, str], ...] = ()
    deps: Path | None = None
    env: Mapping[str, str] = field(default_factory=dict)

    def header(self, submitter: str) -> bytes:
        """Return the first line of what the master reads."""
        line = {
            "run": self.run,
            "name": self.name,
            "kind": self.kind,
            "entry": self.entry,
            "args": list(self.args),
            "main_class": self.main_class,
            "deps": self.deps is not None,
            "env": dict(self.env),
            "submitter": submitter,
        }
        return json.dumps(line).encode() + b"\n"

    def write_archive(self, stream: IO[bytes]) -> None:
        """Write the files as a tar archive; links to files are replaced by the files."""
        with tarfile.open(fileobj=stream, mode="w|", dereference=True) as archive:
            for path, name in self.files:
                archive.add(path, arcname=f"code/{name}", recursive=False)
            if self.deps is not None:
                content = self.deps.read_bytes()
                member = tarfile.TarInfo("requirements.txt")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))


def make_request(
    job: str,
    *,
    root: Path,
    args: Sequence[str] = (),
    deps: Path | None = None,
    main_class: str = "",
    env: Mapping[str, str] | None = None,
) -> JobRequest:
    """Say what `job` means: a built-in job's name, a path, or a shell command.

    Args:
        job: `logistic_regression`, `train.py`, `project/`, `app.jar` or a command of several words.
        root: the project's folder, whose `jobs/` holds the built-in ones.
        args: the program's own arguments.
        deps: a requirements.txt for this run alone.
        main_class: a jar's main class.
        env: additional environment variables.

    Raises:
        BadJob: it is none of these, or a file is missing or too large.
    """
    kind, entry, name, files = _program(job.strip(), root)
    if deps is not None and not deps.is_file():
        raise BadJob(where=str(deps), what="there is no such requirements file")
    if deps is not None and kind == "jar":
        raise BadJob(where=str(deps), what="a jar takes no Python packages", remedy="Leave --deps out")
    if main_class and kind != "jar":
        raise BadJob(where=job, what="only a jar has a main class", remedy="Leave --class out")
    return JobRequest(
        run=new_run_id(name),
        name=name,
        kind=kind,
        entry=entry,
        args=tuple(args),
        main_class=main_class,
        files=files,
        deps=deps,
        env=dict(env or {}),
    )


def builtin_jobs(root: Path) -> list[str]:
    """Return the names of the built-in jobs."""
    return sorted(path.parent.name for path in (root / "jobs").glob("*/main.py"))


def new_run_id(name: str) -> str:
    """Return `<name>-<date>-<time>-<4 hex digits>`, in UTC; it is also the submission's client token."""
    return f"{name}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"


def _program(job: str, root: Path) -> tuple[str, str, str, tuple[tuple[Path, str], ...]]:
    """Return (kind, entry, name, files)."""
    if not job:
        known = ", ".join(builtin_jobs(root))
        raise BadJob(what="no job was given", remedy=f"Say which: one of {known}, or the path of a program")
    if job in builtin_jobs(root):
        return "builtin", "main.py", job, ()
    path = Path(job).expanduser()
    if path.is_dir():
        return _folder(path)
    if path.is_file():
        kind = {".py": "python", ".jar": "jar", ".sh": "shell"}.get(path.suffix)
        if kind is None:
            raise BadJob(
                where=job,
                what="this kind of file is not known",
                remedy="A program is a .py, a .jar, a .sh, a folder with main.py, or a shell command",
            )
        name = _name(path.stem)
        entry = f'exec /bin/bash ./{path.name} "$@"' if kind == "shell" else path.name
        return kind, entry, name, ((path, path.name),)
    if len(job.split()) > 1 and "/" not in job.split(maxsplit=1)[0].removeprefix("/"):
        return "shell", job, _name(job.split(maxsplit=1)[0]), ()
    if len(job.split()) > 1 and job.startswith(("/", "./")):
        return "shell", job, _name(Path(job.split(maxsplit=1)[0]).stem), ()
    known = ", ".join(builtin_jobs(root))
    raise BadJob(
        where=job, what="is neither a built-in job nor a file or folder here", remedy=f"Built-in: {known}"
    )


def _folder(path: Path) -> tuple[str, str, str, tuple[tuple[Path, str], ...]]:
    entry = next((name for name in MAIN_FILES if (path / name).is_file()), "")
    if not entry:
        raise BadJob(where=str(path), what="the folder has no main.py and no __main__.py")
    files = tuple(_walk(path))
    size = sum(file.stat().st_size for file, _ in files)
    if size > LARGEST_BYTES:
        raise BadJob(
            where=str(path),
            what=f"holds {size / 2**30:.1f} GiB; a program may have {LARGEST_BYTES // 2**30} GiB",
            remedy="Put data into HDFS (./muster put), not beside the program",
        )
    return "folder", entry, _name(path.resolve().name), files


def _walk(folder: Path) -> Iterator[tuple[Path, str]]:
    for base, folders, names in os.walk(folder):
        folders[:] = sorted(set(folders) - LEFT_OUT)
        for name in sorted(names):
            path = Path(base) / name
            if path.is_file():
                yield path, str(path.relative_to(folder))


def _name(text: str) -> str:
    """Return `text` as the first part of a run's id: lower-case letters, digits, `_`, `-`, at most 40."""
    return re.sub(r"[^a-z0-9_-]+", "-", text.lower()).strip("-_")[:40] or "job"
