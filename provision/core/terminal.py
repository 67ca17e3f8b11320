"""What people see: nothing that a machine said can move the cursor, hide a line or speak to the terminal.

Everything that is printed goes through `printable`. Standard library only.
"""

from __future__ import annotations

import codecs
import io
import sys

# Controls as `cat -v` shows them; by number what turns the direction of writing, and halves of characters.
_CONTROLS = {code: f"^{chr(code ^ 0x40)}" for code in (*range(0x20), 0x7F) if chr(code) not in "\t\n"}
_OTHERS = (*range(0x80, 0xA0), 0x061C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))
_SHOWN = _CONTROLS | {code: f"\\u{code:04x}" for code in (*_OTHERS, *range(0xD800, 0xE000))}


def printable(text: str) -> str:
    """Return text whose control characters can be seen; lines may end as on any system, tabs stay."""
    return text.replace("\r\n", "\n").replace("\r", "\n").translate(_SHOWN)


def say(text: str) -> None:
    """Print a line for a person on standard error."""
    print(printable(text), file=sys.stderr, flush=True)  # noqa: T201  (this is the place)


class Log:
    """Prints the bytes of a log on standard output as they come, cut anywhere."""

    def __init__(self) -> None:
        utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._decoder = io.IncrementalNewlineDecoder(utf8, translate=True)

    def __call__(self, block: bytes) -> None:
        """Print what is whole."""
        self._print(self._decoder.decode(block))

    def close(self) -> None:
        """Print what is left."""
        self._print(self._decoder.decode(b"", final=True))

    def _print(self, text: str) -> None:
        sys.stdout.buffer.write(printable(text).encode())
        sys.stdout.buffer.flush()
