"""What is submitted: which kind of program it is, its run's id, and the files that go with it."""

from __future__ import annotations

import difflib
import io
import json
import os
import re
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from muster_node.queue import layout
from muster_node.queue.records import new_run_id
from provision.core.errors import BadJob
from provision.core.names import MASTER
from provision.jobs.builtin import builtin_jobs, require_parameters, requirements
from provision.jobs.command import PROGRAMS, require_no_files, words_of
from provision.jobs.commit import commit_of

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
class Where:
    """Where a run goes: the whole cluster ('' as `group`), or one machine of a group.

    `cores` and `memory_gb` (GiB): the share of that machine that it has; 0 = the machine alone.
    """

    group: str = ""
    cores: int = 0
    memory_gb: float = 0.0


CLUSTER = Where()
COORDINATORS = {"tune": Where(MASTER, cores=1, memory_gb=0.75)}
"""Built-in jobs that compute nothing and have others run; where they are unless something else is said."""


@dataclass(frozen=True)
class JobRequest:
    """One submission.

    Fields: `kind` (builtin, python, folder, jar, script, shell), `entry` (the program's path in what is
    shipped; of `shell` the command), `files` (path here -> path there), `deps` (a requirements.txt of this
    run), `env` (for this run), `secrets` (the same, but kept nowhere beyond its end), `spark` (its executors,
    in place of the cluster's own; see `muster_node.queue.layout`), `where` (what of the cluster it has),
    `commit` and `dirty` (of the git work tree that the program is in).
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
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    spark: Mapping[str, int] = field(default_factory=dict)
    where: Where = field(default_factory=lambda: CLUSTER)
    commit: str = ""
    dirty: bool = False

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
            "secrets": dict(self.secrets),
            "spark": dict(self.spark),
            "on": self.where.group,
            "cores": self.where.cores,
            "memory_mb": round(self.where.memory_gb * 1024),
            "submitter": submitter,
            "commit": self.commit,
            "dirty": self.dirty,
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
    secrets: Mapping[str, str] | None = None,
    files: Sequence[tuple[Path, str]] = (),
    spark: Mapping[str, int] | None = None,
    where: Where = CLUSTER,
) -> JobRequest:
    """Say what `job` means: a built-in job's name, a path, or a shell command.

    Args:
        job: `logistic_regression`, `train.py`, `project/`, `app.jar` or a command of several words.
        root: the project's folder, whose `jobs/` holds the built-in ones.
        args: the program's own arguments; a built-in job's are its parameters, `name=value`.
        deps: a requirements.txt for this run alone.
        main_class: a jar's main class.
        env: additional environment variables.
        secrets: more of them, of which only the names are kept.
        files: more files that go with the program: (path here, name beside the program).
        spark: executors, executor_cores, executor_memory_mb of this run.
        where: what of the cluster it has.

    Raises:
        BadJob: it is none of these, a file is missing or too large, a command needs files from here, or a
            built-in job does not know a parameter.
    """
    kind, entry, name, own = _program(job.strip(), root)
    if kind == "builtin":
        require_parameters(root, name, args)
        deps = deps or requirements(root, name)
        where = COORDINATORS.get(name, where) if where == CLUSTER else where
    if deps is not None and not deps.is_file():
        raise BadJob(where=str(deps), what="there is no such requirements file")
    if deps is not None and kind == "jar":
        raise BadJob(where=str(deps), what="a jar takes no Python packages", remedy="Leave --deps out")
    if main_class and kind != "jar":
        raise BadJob(where=job, what="only a jar has a main class", remedy="Leave --class out")
    try:
        layout.require(spark or {})
    except ValueError as error:
        raise BadJob(where=job[:200], what=str(error)) from error
    program = root / "jobs" / name if kind == "builtin" else Path(job).expanduser()
    commit, dirty = ("", False) if kind == "shell" else commit_of(program)
    return JobRequest(
        run=new_run_id(name),
        name=name,
        kind=kind,
        entry=entry,
        args=tuple(args),
        main_class=main_class,
        files=(*own, *files),
        deps=deps,
        env=dict(env or {}),
        secrets=dict(secrets or {}),
        spark=dict(spark or {}),
        where=where,
        commit=commit,
        dirty=dirty,
    )


def _program(job: str, root: Path) -> tuple[str, str, str, tuple[tuple[Path, str], ...]]:
    """Return (kind, entry, name, files)."""
    if not job:
        known = ", ".join(builtin_jobs(root))
        raise BadJob(what="no job was given", remedy=f"Say which: one of {known}, or the path of a program")
    if job in builtin_jobs(root):
        return "builtin", "main.py", job, ()
    path = Path(job).expanduser()
    if _is(path.is_dir):
        return _folder(path)
    if _is(path.is_file):
        return _file(path)
    words = words_of(job)
    if len(words) > 1:
        require_no_files(job)
        if "/" not in words[0] or words[0].startswith(("/", "./")):
            return "shell", job, _name(Path(words[0]).stem), ()
    remedy = f"Built-in: {', '.join(builtin_jobs(root))}"
    if close := difflib.get_close_matches(job, builtin_jobs(root), n=1):
        remedy = f"Did you mean {close[0]}?"
    elif re.fullmatch(r"[\w-]+", job):
        remedy += f". A command of one word: ./muster submit 'exec {job}'"
    raise BadJob(where=job[:200], what="is neither a built-in job nor a file or folder here", remedy=remedy)


def _is(kind: Callable[[], bool]) -> bool:
    """Return what a path says of itself; a command may be too long to be one."""
    try:
        return kind()
    except OSError:
        return False


def _file(path: Path) -> tuple[str, str, str, tuple[tuple[Path, str], ...]]:
    if path.suffix not in PROGRAMS:
        raise BadJob(
            where=str(path),
            what="this kind of file is not known",
            remedy="A program is a .py, a .jar, a .sh, a folder with main.py, or a shell command",
        )
    return PROGRAMS[path.suffix], path.name, _name(path.stem), ((path, path.name),)


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
