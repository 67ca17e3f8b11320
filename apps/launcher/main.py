"""Serves the form on the master's loopback address: `main.py SETTINGS`, a JSON file of role launcher."""

from __future__ import annotations

import json
import os
import secrets
import sys
from pathlib import Path

import uvicorn
from answering import Desk
from earlier import Earlier
from form import Form
from guard import USER, Guard
from in_hdfs import Results
from uploads import MIB

from muster_node.hdfs.webhdfs import Hdfs
from muster_node.tracking.settings import Settings

REQUESTS = 16
"""At a time; each may hold two pictures."""


def password(folder: Path) -> str:
    """Return the password that is kept in a folder, made on first use; its group may read it, too."""
    file = folder / "password"
    if not file.exists():
        new = folder / "password.new"
        new.touch(mode=0o640)
        new.write_text(secrets.token_urlsafe(24), encoding="utf-8")
        new.replace(file)
    return file.read_text(encoding="utf-8")


def main() -> None:
    """Serve until told to end. systemd gives a folder for the password and the pinned run."""
    told = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    folder = Path(os.environ["STATE_DIRECTORY"])
    results = Results(Hdfs(told["namenode"], USER))
    earlier = Earlier(Settings(**told["tracking"])) if told["tracking"] else None
    desk = Desk(results, told["dataset"], told["memory_mb"] * MIB, folder, earlier)
    uvicorn.run(
        Guard(Form(desk).app, password(folder)),
        host="127.0.0.1",
        port=told["port"],
        lifespan="off",
        access_log=False,
        server_header=False,
        log_level="warning",
        limit_concurrency=REQUESTS,
    )


if __name__ == "__main__":
    main()
