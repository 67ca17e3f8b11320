"""Other people's clients of the clouds: where they are installed, and the environment that they are run in."""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provision import environment
from provision.core.paths import PROJECT

REQUIREMENTS = "tests/strangers/requirements.txt"
OURS = Path(sys.executable).parent
"""Where `slcli` is, too: it comes with the library that the provider calls."""


def install() -> Path:
    """Return the folder of `aws` and `flintrock`, whose environment is made when it is not that of the lock.

    Raises SetupError: it cannot be made.
    """
    folder = environment.VENV / "strangers"
    stamp, python = folder / "muster-stamp", folder / "bin" / "python"
    with (PROJECT / ".venv.lock").open("wb") as lock:  # other workers of pytest want it, too
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = environment.made_from([REQUIREMENTS])
        if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
            environment.run([sys.executable, "-m", "venv", "--clear", folder])
            environment.install(python, [["--require-hashes", "-r", PROJECT / REQUIREMENTS]])
            stamp.write_text(wanted, encoding="utf-8")
    return python.parent


@dataclass(frozen=True)
class Shell:
    """Where programs are run: nothing of the caller's environment is left, `leads` is all that leads anywhere."""

    leads: Mapping[str, str]
    folders: tuple[Path, ...] = (OURS,)

    @property
    def environment(self) -> dict[str, str]:
        """The whole environment of a program."""
        path = ":".join([*map(str, self.folders), "/usr/bin", "/bin"])
        return {"PATH": path, "LC_ALL": "C.UTF-8", "PYTHONWARNINGS": "ignore", **self.leads}

    def run(self, *words: object, cwd: Path = Path("/")) -> subprocess.CompletedProcess[str]:
        """Run a program to its end, however that is."""
        command = [str(word) for word in words]
        return subprocess.run(
            command, cwd=cwd, env=self.environment, capture_output=True, text=True, check=False, timeout=120
        )

    def text(self, *words: object) -> str:
        """Run a program that must succeed; return what it printed."""
        done = self.run(*words)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def json(self, *words: object) -> Any:
        """Run a program that must succeed and prints JSON."""
        return json.loads(self.text(*words) or "null")

    def listed(self, config: Path) -> dict[str, str]:
        """Return the state of every machine of the account in `./muster list`, by name."""
        clusters = self.json(PROJECT / "muster", "-i", config, "list", "--json")["clusters"]
        paid = [one for one in clusters if one["provider"] != "local"]  # those are other tests'
        return {name: state for one in paid for name, state in one["machines"].items()}
