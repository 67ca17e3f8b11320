"""Whose image it is: subjects by a pattern of the user's, which may be any, and must not hang anybody."""

from __future__ import annotations

import json
import posixpath
import re
import subprocess
import sys
from collections.abc import Collection, Iterator

EYES = "(.+)_(left|right)"
"""Both eyes of one subject, as many data sets name them."""
LONGEST = 200
"""Characters of a pattern."""
SECONDS = 60
"""How long a processor may take over all names of a data set; a good pattern needs a microsecond for each."""
_TRIAL_SECONDS = 2
_WAITS = 10
"""A busy machine may take so many times as long as a processor works."""
# A process of its own: only one that is ended ends a pattern that tries again and again.
_MATCH = """
import json, re, resource, sys
seconds, pattern, names = json.load(sys.stdin)
resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
found = map(re.compile(pattern).fullmatch, names)
json.dump([match and match[1] for match in found], sys.stdout)
"""


class BadPattern(ValueError):
    """A pattern cannot be used; the text is one line."""


def require_pattern(pattern: str) -> None:
    """Raise BadPattern unless a pattern has a group, and is quick with names that are likely to trap it.

    '' is none, and fine.
    """
    if pattern:
        _require_group(pattern)
        _match(pattern, list(_traps(pattern)), _TRIAL_SECONDS)


def subjects_of(names: Collection[str], pattern: str | None = None) -> dict[str, str]:
    """Return the subject of each image: what the pattern's first group says, else the image itself.

    A pattern with a `/` in it is compared with whole names (paths), one without with their last part; neither
    with the suffix. Other folders are other subjects only for a pattern that tells them apart.

    Args:
        names: of all images.
        pattern: None or '' = both eyes of a subject, when every name is `<subject>_left` or `_right`.

    Raises:
        BadPattern: it is none, or takes more than SECONDS.
    """
    if not pattern or pattern == EYES:
        eyes = {name: re.fullmatch(EYES, _stem(name)) for name in names}
        together = pattern == EYES or all(eyes.values())
        return {name: match[1] if match and together else name for name, match in eyes.items()}
    _require_group(pattern)
    compared = [posixpath.splitext(name)[0] if "/" in pattern else _stem(name) for name in names]
    return {
        name: name if found is None else found
        for name, found in zip(names, _match(pattern, compared, SECONDS), strict=True)
    }


def _stem(name: str) -> str:
    return posixpath.splitext(posixpath.basename(name))[0]


def _require_group(pattern: str) -> None:
    if len(pattern) > LONGEST:
        raise BadPattern(f"this pattern has more than {LONGEST} characters")
    try:
        groups = re.compile(pattern).groups
    except (re.error, OverflowError, RecursionError) as error:
        raise BadPattern(f"{pattern!r} is no pattern: {error}") from None
    if not groups:
        raise BadPattern(f"{pattern!r} has no group in parentheses")


def _match(pattern: str, texts: list[str], seconds: int) -> list[str | None]:
    """Return what the first group is of each text, None where the pattern does not match."""
    slow = f"{pattern!r} takes more than {seconds} s to compare: repeat nothing that is repeated itself"
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", _MATCH], input=json.dumps([seconds, pattern, texts]),
            capture_output=True, text=True, timeout=_WAITS * seconds, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise BadPattern(slow) from None
    if done.returncode < 0:  # ended by the system, which counts
        raise BadPattern(slow)
    done.check_returncode()
    found: list[str | None] = json.loads(done.stdout)
    return found


def _traps(pattern: str) -> Iterator[str]:
    """Return long names, of the pattern's own characters too, that end otherwise than expected."""
    own = re.sub(r"\W", "", pattern) or "a"
    for text in ("a", "0", "_", "-", "a0", "a_", "ab ", "a/", own, *sorted(set(own))):
        yield (text * LONGEST)[:LONGEST] + "\n!"
