"""`python -m tests.emulators NAME`: try a cloud's commands without an account."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

KNOWN = sorted(path.parent.name for path in Path(__file__).parent.glob("*/__main__.py"))

if len(sys.argv) < 2 or sys.argv[1] not in KNOWN:
    sys.exit(f"usage: python -m tests.emulators {'|'.join(KNOWN)} [--help]")
sys.exit(import_module(f"tests.emulators.{sys.argv[1]}.__main__").main(sys.argv[2:]))
