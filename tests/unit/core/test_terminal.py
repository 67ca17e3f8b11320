"""What reaches the terminal."""

from __future__ import annotations

import pytest

from provision.core import terminal
from provision.core.errors import MusterError
from provision.core.text import table

EVIL = "a\x1b]0;title\x07b\x9b2Jc\x1b[31md\x00e\x7ff\u202eg\udc80h"
SHOWN = r"a^[]0;title^Gb\u009b2Jc^[[31md^@e^?f\u202eg\udc80h"


def test_controls_are_seen_and_do_nothing() -> None:
    assert terminal.printable(EVIL) == SHOWN
    assert terminal.printable(SHOWN) == SHOWN
    assert terminal.printable("naïve ☃\tto\nthe end") == "naïve ☃\tto\nthe end"
    assert terminal.printable("10%\r20%\r\ndone") == "10%\n20%\ndone"


def test_errors_tables_and_lines(capsys: pytest.CaptureFixture[str]) -> None:
    error = MusterError(what=EVIL, where=f"no\rde {EVIL}", remedy=EVIL)
    assert str(error) == f"no de {SHOWN}: {SHOWN}. {SHOWN}"
    assert table(("A", "B"), [(EVIL, "x\ny")]).splitlines()[1] == f"{SHOWN}  x y"
    terminal.say(EVIL)
    assert capsys.readouterr().err == f"{SHOWN}\n"


@pytest.mark.parametrize("cut", [1, 2, 3, 1000])
def test_a_log_is_printed_as_it_comes(cut: int, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    text = "☃ 10%\r20%\r\nred\x1b[31m\xff".encode("latin-1", "ignore").replace(b" 10", "☃ 10".encode())
    log = terminal.Log()
    for begin in range(0, len(text), cut):
        log(text[begin : begin + cut])
    log.close()
    assert capsysbinary.readouterr().out == "☃ 10%\n20%\nred^[[31m\ufffd".encode()
