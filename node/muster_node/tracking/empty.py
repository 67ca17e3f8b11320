"""`empty.py FOLDER`: make MLflow's mlflow.db and auth.db there, with all tables and nothing in them.

Runs in MLflow's own Python, when an image is made.
"""

from __future__ import annotations

import sys
from pathlib import Path


def main(folder: Path) -> None:
    """Make both."""
    from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore as Users
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as Runs

    Runs(f"sqlite:///{folder / 'mlflow.db'}", "mlflow-artifacts:/")
    Users().init_db(f"sqlite:///{folder / 'auth.db'}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
