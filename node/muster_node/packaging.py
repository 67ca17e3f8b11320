"""How dpkg unpacks on machines that live hours and are thrown away.

The provider `local` builds its base system with it; machines that Muster orders get it at their first boot.
Python's bytecode stays: accounts that may not write it would compile all of PyTorch at each start. Only
tests, a third of the files of what jobs compute with, have none, and those of the largest packages are left
out.
"""

from __future__ import annotations

EXCLUDED = ("doc", "man", "locale", "info", "lintian")
"""Folders of /usr/share that nobody reads there."""
EXCLUDES = "".join(f"path-exclude=/usr/share/{name}/*\n" for name in EXCLUDED)
TESTED = ("matplotlib", "mpmath", "networkx", "pandas", "scipy", "sklearn", "sympy")
"""Python packages of which nothing at work imports the tests; of others something may."""
EXCLUDES += "".join(f"path-exclude=/usr/lib/python3/dist-packages/{name}/*tests/*\n" for name in TESTED)
EXCLUDES += "path-exclude=/usr/lib/libtorch-test/*\n"
EXCLUDES += "path-include=/usr/share/locale/locale.alias\n"
NO_FSYNC = "force-unsafe-io\n"
"""A machine that loses its power while it is installed is made anew, not repaired."""
BYTECODE = "/usr/share/python3/bcep/muster"
"""Where `py3compile` looks for what it leaves out."""
NOT_COMPILED = "re|3.0-|/usr/lib/python3/dist-packages|.*/tests/.*\n"
