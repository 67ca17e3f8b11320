"""Flintrock as it was published, but for its patience: `python client.py WORDS` is `flintrock WORDS`.

On the bridge of this computer an address at which no machine answers yet is "no route"; at EC2 time runs out.
Flintrock gives up on the first and tries again after the second, so the first is shown to it as that.
Run by the Python that has it.
"""

from __future__ import annotations

import errno
import runpy

import paramiko


class Patient(paramiko.client.SSHClient):
    """A client for which a machine that still boots does not answer."""

    def connect(self, *given: object, **named: object) -> None:
        """See paramiko's."""
        try:
            super().connect(*given, **named)  # type: ignore[arg-type]
        except paramiko.ssh_exception.NoValidConnectionsError as error:
            if all(getattr(one, "errno", 0) == errno.EHOSTUNREACH for one in error.errors.values()):
                raise TimeoutError from error
            raise


if __name__ == "__main__":
    paramiko.client.SSHClient = Patient  # type: ignore[misc]
    runpy.run_module("flintrock", run_name="__main__", alter_sys=True)
