"""A shell command that is submitted: it runs on the master, where no file of this computer is."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from provision.core.errors import BadJob

PROGRAMS = {".py": "python", ".jar": "jar", ".sh": "script"}
"""Suffixes of files that are jobs by themselves, and which kind of job."""
_INTERPRETERS = frozenset(("python", "python3", "spark-submit", "bash", "sh"))
_PUNCTUATION = frozenset("();<>|&")


def words_of(command: str) -> list[str]:
    """Return the words of a command as a shell sees them; operators such as `|` are words of their own."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        return list(lexer)
    except ValueError:  # an open quote: bash will say so
        return command.split()


def require_no_files(command: str) -> None:
    """Raise BadJob, with the right command, when words of a command are files on this computer."""
    words = words_of(command)
    found = [word for index, word in enumerate(words) if _is_here(word, first=index == 0)]
    modules = [f"{name.replace('.', '/')}.py" for option, name in pairwise(words) if option == "-m"]
    found = list(dict.fromkeys([*found, *(name for name in modules if _is_here(name, first=False))]))
    if not found:
        return
    is_are = "is a file" if len(found) == 1 else "are files"
    raise BadJob(
        where=", ".join(found),
        what=f"{is_are} on this computer, and a command takes none along",
        remedy=_instead(words, found),
    )


def _is_here(word: str, *, first: bool) -> bool:
    """Return whether a word means a file of this computer, not a program or a path of the master."""
    value = word.rpartition("=")[2] if word.startswith("-") else word
    path = Path(value).expanduser()
    program = path.suffix in PROGRAMS
    if first and "/" not in value and not program:  # looked up on PATH
        return False
    try:
        return (program or not path.is_absolute()) and path.is_file()
    except (OSError, ValueError):  # too long, or no path at all
        return False


def _instead(words: Sequence[str], found: Sequence[str]) -> str:
    """Return what to submit instead of a command in which `found` are files here."""
    program = next((name for name in found if Path(name).suffix in PROGRAMS), "")
    at = words.index(program) if program in words else -1
    plain = not any(word and _PUNCTUATION.issuperset(word) for word in words)
    if len(found) == 1 and plain and (at == 0 or (at == 1 and words[0] in _INTERPRETERS)):
        arguments = shlex.join(words[at + 1 :])
        return f"./muster submit {shlex.quote(program)}" + (f" -- {arguments}" if arguments else "")
    if program:
        more = ", which takes all of them along" if len(found) > 1 else ""
        return f"Submit {shlex.quote(program)} itself, its arguments after --, or a folder with main.py{more}"
    return "Copy them first (./muster put FILE hdfs:/PATH), or submit a folder with main.py that has them"
