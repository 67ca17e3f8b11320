"""`mlflow server` in one process instead of two, with the user of jobs; takes the options of `mlflow server`.

MLflow's command checks everything, then starts uvicorn as another program and waits for it with all that it
has loaded: 200 MiB and seven seconds of computing more. Runs in MLflow's own Python.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Mapping, Sequence

from muster_node.tracking.settings import Settings


def serve(command: Sequence[str], extra_env: Mapping[str, str], **_: object) -> None:
    """Be the program that would be started: `python -m uvicorn …`; the users are known by now."""
    import uvicorn
    from mlflow.server.auth import store

    if known := Settings.load():
        store.create_user(known.user, known.password)
    os.environ |= extra_env
    uvicorn.main(command[command.index("uvicorn") + 1 :])


def main() -> None:
    """Serve until the end."""
    import uvicorn  # noqa: F401  first: MLflow guards its pages when it finds a web server loaded
    import mlflow.server  # isort: skip
    from mlflow.cli import cli

    # For making users, which nobody needs: what is new at each start is enough for one process.
    os.environ["MLFLOW_FLASK_SERVER_SECRET_KEY"] = secrets.token_hex(32)
    os.environ["MLFLOW_AUTH_ADMIN_PASSWORD"] = secrets.token_hex(32)
    mlflow.server._exec_cmd = serve  # noqa: SLF001  the version is locked by hash
    cli(["server", *sys.argv[1:]])


if __name__ == "__main__":
    main()
