"""`./muster test`: with which other Python, in which environment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from provision.commands import test
from provision.core.errors import CommandFailed

HERE = ".".join(map(str, sys.version_info[:3]))


def system(path: Path, version: str, *, makes: int = 0) -> Path:
    """A Python that says its version, and how making its environment ends."""
    path.write_text(
        f'#!/bin/sh\ncase $1 in -Ic) echo {version} ;; *) echo "$3" >> {path}.made; exit {makes} ;; esac\n'
    )
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("version", [HERE, "3.10.12", ""])
def test_where_no_other_python_will_do_ours_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    path = system(tmp_path / "python3", version) if version else tmp_path / "none"
    monkeypatch.setattr(test, "SYSTEM_PYTHON", path)
    assert test.python_elsewhere() == Path(sys.executable)
    assert not Path(f"{path}.made").exists()


def test_another_python_gets_an_environment_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = system(tmp_path / "python3", "3.99.1")
    monkeypatch.setattr(test, "SYSTEM_PYTHON", path)
    assert test.python_elsewhere().parts[-4:] == (".venv", "system-3.99.1", "bin", "python")
    assert Path(f"{path}.made").read_text() == "system-3.99.1\n"


def test_an_environment_that_cannot_be_made_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(test, "SYSTEM_PYTHON", system(tmp_path / "python3", "3.99.1", makes=1))
    with pytest.raises(CommandFailed, match="no environment with"):
        test.python_elsewhere()
    assert not test.passes_elsewhere()
    assert "no environment with" in capsys.readouterr().err


def test_its_environment_is_bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PYTHONUNBUFFERED": "1", "LANG": "de_DE.UTF-8", "ANSIBLE_FORKS": "3"}.items():
        monkeypatch.setenv(name, value)
    seen = test.bare_environment()
    assert seen["LC_ALL"] == "C"
    assert not {"PYTHONUNBUFFERED", "LANG", "ANSIBLE_FORKS"} & set(seen)
    code = "import sys; print(sys.stdout.write_through, sys.flags.utf8_mode)"
    said = subprocess.check_output([sys.executable, "-c", code], env=seen, text=True)
    assert said == "False 1\n"


def test_what_is_run_elsewhere_exists() -> None:
    assert all((test.PROJECT / path).exists() for path in test.ELSEWHERE)
