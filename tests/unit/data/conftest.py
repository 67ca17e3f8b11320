from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.unit.programs import load

ROOT = Path(__file__).resolve().parents[3]
FILES = ROOT / "roles" / "dataset" / "files"
for folder in (FILES, ROOT / "jobs" / "preprocess"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


@pytest.fixture(scope="session")
def stage() -> ModuleType:
    """The program muster-stage as a module."""
    return load(FILES / "muster-stage")
