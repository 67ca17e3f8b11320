from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[3]
FILES = ROOT / "roles" / "dataset" / "files"
for folder in (FILES, ROOT / "jobs" / "preprocess"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


@pytest.fixture(scope="session")
def stage() -> ModuleType:
    """The program muster-stage as a module."""
    loader = importlib.machinery.SourceFileLoader("muster_stage", str(FILES / "muster-stage"))
    spec = importlib.util.spec_from_loader("muster_stage", loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules["muster_stage"] = module
    loader.exec_module(module)
    return module
