"""Talking to the root helper: directly when this process is root, else by `sudo -n` and an installed copy."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import threading
import zipapp
from collections.abc import Callable, Mapping
from configparser import ConfigParser
from configparser import Error as ConfigParserError
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

from provision.core.errors import MusterError, NotReady, ProviderError
from provision.providers.local.facts import FACTS
from provision.providers.local.helper import main as helper

PACKAGE = Path(__file__).resolve().parent / "helper"
INSTALLED = Path("/usr/local/libexec/muster-local")
INSTALL = ("install", "-D", "-o", "root", "-g", "root", "-m", "0755")
INTERPRETER = "/usr/bin/python3 -IS"
DIRECT = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from helper.main import main; raise SystemExit(main())"
)
LOOKING = (
    "list",
    "list-all",
    "image-list",
    "store-list",
)  # change nothing: root need not start another process for them
PIP_KEYS = ("index-url", "extra-index-url", "trusted-host", "proxy")
PROXY_KEYS = ("http_proxy", "https_proxy", "no_proxy")

Say = Callable[[str], None]


class HelperFailed(ProviderError):
    """The helper refused or failed. `kind`: see `helper.errors`."""

    def __init__(self, kind: str, what: str) -> None:
        self.kind = kind
        super().__init__(provider=FACTS.name, what=what)


def call(verb: str, request: Mapping[str, Any] | None = None, *, say: Say | None = None) -> Any:  # noqa: ANN401
    """Let the helper carry out one verb.

    Args:
        verb: see `helper.main.VERBS`.
        request: what to do, as JSON.
        say: told each progress line.

    Raises:
        NotReady: no root, no helper, or the computer cannot do it; nothing was changed.
        ProviderError: the helper refused or failed.
    """
    command = _command()
    if verb in LOOKING and os.geteuid() == 0:
        return _result(helper.answer(verb, json.dumps(request or {})))
    process = subprocess.Popen([*command, verb], text=True, start_new_session=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    assert process.stdin is not None  # noqa: S101  all three are pipes
    assert process.stdout is not None  # noqa: S101
    assert process.stderr is not None  # noqa: S101
    complaints: list[str] = []
    listener = threading.Thread(target=_listen, args=(process.stderr, say, complaints), daemon=True)
    listener.start()
    with process:
        try:
            process.stdin.write(json.dumps(request or {}))
            process.stdin.close()
        except BrokenPipeError:
            pass
        output = process.stdout.read()
        listener.join()
    try:
        answer = json.loads(output)
    except ValueError:
        raise _no_answer(verb, process.returncode, complaints) from None
    return _result(answer)


def _result(answer: Mapping[str, Any]) -> Any:  # noqa: ANN401
    if "ok" in answer:
        return answer["ok"]
    raise _error(answer["kind"], answer["error"])


def _error(kind: str, message: str) -> MusterError:
    if kind == "not_ready":
        return NotReady(what=message)
    return HelperFailed(kind, message)


def _no_answer(verb: str, status: int, complaints: list[str]) -> MusterError:
    reason = complaints[-1] if complaints else f"exit status {status}"
    if os.geteuid() != 0 and "sudo" in reason:
        return NotReady(what=f"the helper for local machines may not be run: {reason}", remedy=how_to_allow())
    return ProviderError(
        provider=FACTS.name, what=f"the helper for local machines ended without an answer to {verb}: {reason}"
    )


def _listen(stream: IO[str], say: Say | None, complaints: list[str]) -> None:
    """Pass on progress lines until the helper ends; what is no progress is kept for an error message."""
    for line in stream:
        try:
            message = json.loads(line)["say"]
        except (ValueError, KeyError, TypeError):
            if line.strip():
                complaints.append(line.strip())
            continue
        if say:
            say(message)


def _command() -> list[str]:
    if not sys.platform.startswith("linux"):
        raise NotReady(
            what="local machines need Linux; this computer is not",
            remedy="Use a cloud provider in the config file.",
        )
    if os.geteuid() == 0:
        return [sys.executable, "-I", "-S", "-c", DIRECT, str(PACKAGE.parent)]
    _require_installed()
    return ["sudo", "-n", str(INSTALLED)]


def archive() -> bytes:
    """The helper as one executable file, always the same bytes for the same source."""
    with TemporaryDirectory() as folder:
        package = Path(folder, "source", "helper")
        package.mkdir(parents=True)
        for path in sorted(PACKAGE.glob("*.py")):
            copy = package / path.name
            copy.write_bytes(path.read_bytes())
            os.utime(copy, (946684800, 946684800))
        main = package.parent / "__main__.py"
        main.write_text("from helper.main import main\n\nraise SystemExit(main())\n")
        for path in (main, package, package.parent):
            os.utime(path, (946684800, 946684800))
        target = io.BytesIO()
        zipapp.create_archive(package.parent, target, interpreter=INTERPRETER)
        return target.getvalue()


def _require_installed() -> None:
    """Install or renew the helper where sudo permits that, else say how."""
    wanted = archive()
    if (
        INSTALLED.exists()
        and hashlib.sha256(INSTALLED.read_bytes()).digest() == hashlib.sha256(wanted).digest()
    ):
        return
    try:
        done = subprocess.run(
            ["sudo", "-n", *INSTALL, "/dev/stdin", str(INSTALLED)],
            input=wanted,
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        raise NotReady(
            what="local machines need root, and there is no sudo here", remedy="Run it as root."
        ) from None
    if done.returncode:
        state = "is outdated" if INSTALLED.exists() else "is not installed"
        raise NotReady(
            what=f"local machines need root for one small helper, which {state}", remedy=how_to_allow()
        )


def how_to_allow() -> str:
    """The command, one line, with which an administrator permits this user to run local machines."""
    file = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "muster", INSTALLED.name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(archive())
    user = os.environ.get("USER") or str(os.geteuid())
    rule = f"{user} ALL=(root) NOPASSWD: {INSTALLED}"
    return (
        "Whoever may run the helper is in practice root on this computer. "
        f"An administrator allows it with: sudo install -D -o root -m 0755 {file} {INSTALLED} && "
        f"echo '{rule}' | sudo tee /etc/sudoers.d/muster-{user}"
    )


def inherited() -> dict[str, dict[str, str]]:
    """The proxy and pip settings of this user, for machines to share (the helper adds apt's and the CAs)."""
    proxy = {key: os.environ.get(key) or os.environ.get(key.upper()) or "" for key in PROXY_KEYS}
    pip: dict[str, str] = {}
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    for path in (Path("/etc/pip.conf"), Path.home() / ".pip" / "pip.conf", home / "pip" / "pip.conf"):
        parser = ConfigParser(interpolation=None)
        try:
            parser.read(path)
        except (ConfigParserError, OSError):
            continue
        pip |= {key: parser["global"][key] for key in PIP_KEYS if parser.has_option("global", key)}
    for key in PIP_KEYS:
        pip[key] = os.environ.get(f"PIP_{key.upper().replace('-', '_')}") or pip.get(key, "")
    return {
        "proxy": {key: value for key, value in proxy.items() if value},
        "pip": {key: value for key, value in pip.items() if value},
    }
