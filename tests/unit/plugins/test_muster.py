"""What Ansible shows: what machines say, as it comes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from provision.core.paths import PROJECT
from provision.plugins.callback import muster

EVIL = "a\x1b]0;title\x07b\x1b[8mc\rd"
SHOWN = "a^[]0;title^Gb^[[8mc\nd"


class Display:
    """Ansible's, as far as it counts."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    def display(self, msg: str, *args: Any, **more: Any) -> None:
        self.shown.append(msg)

    def warning(self, msg: str) -> None:
        self.display(f"[WARNING]: {msg}", color="purple")


def test_nothing_that_a_machine_says_reaches_the_terminal_as_a_control() -> None:
    display = Display()
    muster.show_printable(display)  # type: ignore[arg-type]
    muster.show_printable(display)  # type: ignore[arg-type]
    display.display(EVIL, color="red", stderr=True)
    display.warning(EVIL)
    assert display.shown == [SHOWN, f"[WARNING]: {SHOWN}"]


def test_colours_of_ansibles_own_stay() -> None:
    display = Display()
    muster.show_printable(display)  # type: ignore[arg-type]
    recap = "\x1b[0;32mpond-master\x1b[0m : ok=1"
    display.display(recap, screen_only=True)
    display.display(muster.Coloured("\x1b[0;32m+new\x1b[0m"))
    assert display.shown == [recap, "\x1b[0;32m+new\x1b[0m"]


def test_differences_are_made_printable_before_they_are_coloured() -> None:
    callback = muster.CallbackModule()
    callback._options = {"result_format": "yaml", "pretty_results": None}
    texts = {"before": EVIL, "after": "new\n", "before_header": EVIL, "after_header": "x"}
    found = callback._get_diff([texts])
    assert isinstance(found, muster.Coloured)
    assert "title^G" in found and "\x07" not in found and "\x1b]" not in found and "\x1b[8m" not in found


def test_a_run_is_seen_as_it_comes_in_a_pipe_too(tmp_path: Path) -> None:
    """A second host goes on only when the first one's result has been read."""
    (tmp_path / "first").touch()
    path = f"{tmp_path}/{{{{ inventory_hostname }}}}"
    wait = {"name": "Wait", "ansible.builtin.wait_for": {"path": path, "timeout": 60, "sleep": 1}}
    play = {
        "name": "A play",
        "hosts": "all",
        "connection": "local",
        "gather_facts": False,
        "vars": {"ansible_python_interpreter": sys.executable},
        "tasks": [wait],
    }
    book = tmp_path / "book.yml"
    book.write_text(json.dumps([play]))
    left_out = ("PYTHONUNBUFFERED", "ANSIBLE_")
    known = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    with subprocess.Popen(
        [Path(sys.executable).with_name("ansible-playbook"), "-i", "first,second", book],
        env=known, cwd=PROJECT, text=True, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout
        for line in process.stdout:
            if "ok: [first]" in line:
                (tmp_path / "second").touch()
                break
        rest = process.stdout.read()
    assert process.returncode == 0, rest
    assert "ok: [second]" in rest
