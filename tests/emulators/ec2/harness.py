"""An emulator of a test's own: its process, the environment that leads to it and to nothing else, its books."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from provision.core.paths import PROJECT

REGION = "eu-west-1"
SECRET_KEY = "z" * 40


class Emulator:
    """Use as a context manager. `machines`: local nodes behind the instances; `recipes`: baked layers."""

    def __init__(self, folder: Path, *, machines: bool = False, recipes: Sequence[str] = ()) -> None:
        self.folder = folder
        self.cluster_id = secrets.token_hex(4)
        self._machines = machines
        self._command = [
            sys.executable,
            "-m",
            "tests.emulators.ec2",
            "--until-eof",
            "--cluster-id",
            self.cluster_id,
        ]
        self._command += ["--machines"] * machines
        self._command += [word for recipe in recipes for word in ("--recipe", recipe)]

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._log = (self.folder / "emulator.log").open("wb")
        self._process = subprocess.Popen(
            self._command,
            cwd=PROJECT,
            env=self._without_accounts(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, (self.folder / "emulator.log").read_text()
        told = json.loads(line)
        self.url, self.access_key = told["url"], told["access_key"]
        (self.folder / "credentials").write_text(
            f"[default]\naws_access_key_id = {self.access_key}\naws_secret_access_key = {SECRET_KEY}\n"
        )
        (self.folder / "config").write_text(f"[default]\nregion = {REGION}\n")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._machines:  # also when the process was killed
            from tests.emulators.ec2.nodes import LocalNodes

            LocalNodes(self.cluster_id).close()
        self._log.close()

    def environment(self) -> dict[str, str]:
        """Return the variables that lead boto3 here, with credentials that are nobody's."""
        return {
            "HOME": str(self.folder),
            "AWS_ENDPOINT_URL": self.url,
            "AWS_CONFIG_FILE": str(self.folder / "config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(self.folder / "credentials"),
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def reset(self) -> None:
        """Begin anew with an empty account (without machines behind it)."""
        self._ask("reset", {})

    def fault(self, action: str, kind: str, **more: Any) -> None:
        """Let the next calls of an action go wrong; see `books.Fault`."""
        self._ask("fault", {"action": action, "kind": kind, **more})

    def faults(self, left: Sequence[Mapping[str, Any]]) -> None:
        """Let these, and nothing else, go wrong from now on."""
        self._ask("faults", {"faults": left})

    def set(self, **settings: Any) -> None:
        """Change settings; see `books.Settings`."""
        self._ask("settings", settings)

    def room(self, limits: Mapping[str, int]) -> None:
        """Limit how many machines can be had: `TYPE/ZONE/MARKET` (each may be *) -> machines."""
        self._ask("room", dict(limits))

    def forget(self) -> None:
        """Drop the machines that are gone from every list, as EC2 does after an hour."""
        self._ask("forget", {})

    def interrupt(self, *ids: str) -> None:
        """Take spot machines away."""
        self._ask("interrupt", {"ids": ids})

    def books(self) -> dict[str, Any]:
        """Return what really exists, and what was ordered and called."""
        return dict(self._ask("books", {}))

    def alive(self) -> list[dict[str, Any]]:
        """Return the machines that are billed."""
        return [
            one for one in self.books()["instances"] if one["state"] not in ("shutting-down", "terminated")
        ]

    def left_over(self) -> list[str]:
        """Return what is there that costs money or clutters the account."""
        books = self.books()
        return [
            *(f"instance {one['id']}" for one in books["instances"] if one["state"] != "terminated"),
            *(
                f"spot request {order['token']}" for order in books["orders"] if order["lasts"]
            ),  # a one-time one ends with its machines
            *(f"volume {one['id']}" for one in books["volumes"]),
            *(f"group {one['name']}" for one in books["groups"]),
            *(f"key {name}" for name in books["keys"]),
        ]

    def _ask(self, what: str, body: Mapping[str, Any]) -> Any:
        request = urllib.request.Request(
            f"{self.url}/_emulator/{what}", json.dumps(body).encode(), method="POST"
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    @staticmethod
    def _without_accounts() -> dict[str, str]:
        return {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "MOTO_"))}
