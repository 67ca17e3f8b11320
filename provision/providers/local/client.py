"""Talking to the root helper: directly when this process is root, else by `sudo -n` and an installed copy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from configparser import ConfigParser
from configparser import Error as ConfigParserError
from pathlib import Path
from typing import IO, Any

from provision.core.errors import MusterError, NotReady, ProviderError
from provision.providers.local import permission
from provision.providers.local.facts import FACTS
from provision.providers.local.helper import main as helper

DIRECT = (
    "import sys; sys.path[:0] = sys.argv[1:3]; del sys.argv[1:3]; "
    "from helper.main import main; raise SystemExit(main())"
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
    process = subprocess.Popen([*command, verb], encoding="utf-8", start_new_session=True,
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
        return direct()
    _require_installed()
    return ["sudo", "-n", str(permission.INSTALLED)]


def direct() -> list[str]:
    """Return the command that runs the helper from this checkout, for root."""
    folders = [str(folder.parent) for folder in (permission.PACKAGE, permission.LIBRARY)]
    return [sys.executable, "-ISXutf8", "-c", DIRECT, *folders]


def _require_installed() -> None:
    """Install or renew the helper where sudo permits that, else say how."""
    if permission.installed():
        return
    try:
        done = subprocess.run(
            ["sudo", "-n", *permission.INSTALL, "/dev/stdin", str(permission.INSTALLED)],
            input=permission.archive(),
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        raise NotReady(
            what="local machines need root, and there is no sudo here", remedy="Run it as root."
        ) from None
    if done.returncode:
        state = "is outdated" if permission.INSTALLED.exists() else "is not installed"
        raise NotReady(
            what=f"local machines need root for one small helper, which {state}", remedy=how_to_allow()
        )


def how_to_allow() -> str:
    """Return the command, one line, with which an administrator permits this user to run local machines."""
    return f"{permission.WARNING}. An administrator allows it with: {permission.command()}"


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
