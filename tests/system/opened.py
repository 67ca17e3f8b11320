"""A command that holds pages open until Ctrl-C, as a person has it in a terminal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from provision.core.paths import PROJECT
from tests.system.lab import Lab


@contextmanager
def opened(lab: Lab, *command: str) -> Iterator[Any]:
    """Run `./muster COMMAND --json`; yield what it prints first, and end it with Ctrl-C."""
    process = subprocess.Popen(
        [str(PROJECT / "muster"), "-i", str(lab.config), *command, "--json"],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        env=lab.environment(),
        start_new_session=True,
        # As on a terminal: whoever starts the tests in the background has them, and all below, ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    assert process.stdout
    try:
        text = ""
        while not text.rstrip("\n").endswith("\n}"):
            line = process.stdout.readline()
            assert line, f"{command} has ended: {text}"
            text += line
        yield json.loads(text)
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(20)
