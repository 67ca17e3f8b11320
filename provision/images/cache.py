"""This computer's cache of what artifacts.lock names, filled once for all machines, and its sources."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from muster_node.artifacts import ArtifactError, fetch_each, read_lock
from provision.core.errors import CommandFailed
from provision.core.paths import PROJECT
from provision.providers.local.images import artifacts_folder

if TYPE_CHECKING:
    from provision.core.reporter import Reporter

LOCK = PROJECT / "group_vars" / "all" / "artifacts.lock"


def cache_folder() -> Path:
    """This user's download cache, which machines of this computer see (MUSTER_ARTIFACTS moves it)."""
    return Path(os.environ.get("MUSTER_ARTIFACTS") or artifacts_folder())


def default_registries() -> dict[str, str]:
    """Base addresses: MUSTER_MAVEN_URL or Maven's default; pip's configured index or PyPI's default."""
    from jgo.constants import MAVEN_CENTRAL_URL
    from pypi_simple import PYPI_SIMPLE_ENDPOINT

    index = os.environ.get("PIP_INDEX_URL", "")
    if not index:
        command = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
        asked = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
        index = asked.stdout.strip()
    maven = os.environ.get("MUSTER_MAVEN_URL") or MAVEN_CENTRAL_URL
    return {"maven": maven, "pypi": index or PYPI_SIMPLE_ENDPOINT}


def fetch_all(reporter: Reporter) -> None:
    """Fill this computer's cache with everything in the lock. Raises CommandFailed, naming the file."""
    try:
        fetch_each(
            read_lock(LOCK.read_text(encoding="utf-8")), cache_folder(), default_registries(), reporter.say
        )
    except ArtifactError as error:
        raise CommandFailed(what=error.what, remedy=error.remedy) from error
