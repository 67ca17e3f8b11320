"""The proofs that features which are switched on answer who may ask, and nobody else; made on the master."""

from __future__ import annotations

import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Collection
from pathlib import Path

from muster_node.authorization import basic
from muster_node.notebook import kernels
from muster_node.proofs.plan import Check, Work
from muster_node.tracking.settings import Settings

SERVICE_S = 120.0
"""How long a service that was just started may take until it answers."""
ANSWER_S = 60.0
EXPECTED = "answers with its login alone"
LAUNCHER = Path("/etc/muster/launcher.json")
PASSWORD = Path("/var/lib/muster-launcher/password")


def mlflow() -> tuple[bool, str]:
    """Ask MLflow for experiments, as the user of jobs and as nobody."""
    known = Settings.load()
    if known is None:
        return False, "its settings are missing"
    page = f"{known.url}/api/2.0/mlflow/experiments/search?max_results=1"
    return guarded(page, lambda: basic(known.user, known.password), "")


def notebook(folder: Path = kernels.FOLDER, port: int = kernels.PORT) -> tuple[bool, str]:
    """Ask JupyterLab for kernels over TLS, with its token and with another one."""
    page, trusted = kernels.page("kernels", port), kernels.trusted(folder)
    return guarded(page, lambda: kernels.login(folder), "token of-another", trusted)


def launcher(settings: Path = LAUNCHER, password: Path = PASSWORD) -> tuple[bool, str]:
    """Ask the form whose model answers, with its password and without."""
    port = json.loads(settings.read_text())["port"]
    return guarded(f"http://127.0.0.1:{port}/model", lambda: basic("launcher", password.read_text()), "")


def guarded(
    page: str,
    right: Callable[[], str],
    wrong: str,
    trusted: ssl.SSLContext | None = None,
    wait_s: float = SERVICE_S,
) -> tuple[bool, str]:
    """Say whether a page lets in who shows the right header, and whom else it refuses.

    Args:
        page: its address.
        right: reads the header of who may ask; the service may not have written it yet.
        wrong: that of somebody else, '' = none.
        trusted: whose certificate a page over TLS has to have.
        wait_s: until it has to answer, in seconds.
    """
    end = time.monotonic() + wait_s
    while True:
        try:
            let_in = _status(page, right(), trusted)
            break
        except OSError as error:
            reason = getattr(error, "reason", error)
            if isinstance(reason, ssl.SSLError) or time.monotonic() > end:
                return False, f"does not answer ({reason})"
            time.sleep(0.5)
    refused = _status(page, wrong, trusted)
    if let_in != 200:
        return False, f"refuses its own login ({let_in})"
    others = "let in" if refused == 200 else f"refused ({refused})"
    return refused in (401, 403), f"answers; others are {others}"


def _status(page: str, header: str, trusted: ssl.SSLContext | None) -> int:
    """Return the status of an answer. Raises OSError: there is none."""
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    if trusted:
        handlers.append(urllib.request.HTTPSHandler(context=trusted))
    asked = urllib.request.Request(page, headers={"Authorization": header} if header else {})  # noqa: S310
    try:
        with urllib.request.build_opener(*handlers).open(asked, timeout=ANSWER_S) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


PROOFS: dict[str, tuple[str, str, Work]] = {
    "tracking": ("MLflow", "mlflow", mlflow),
    "notebook": ("JupyterLab", "muster-notebook", notebook),
    "launcher": ("Launcher", "muster-launcher", launcher),
}
"""By the name of a feature: what is proved, its unit, how."""


def checks(features: Collection[str]) -> list[Check]:
    """Return the proofs of features that are switched on."""
    look = "Look at `journalctl -u {}` on the master, then run main.yml"
    chosen = (PROOFS[name] for name in PROOFS if name in features)
    return [Check(title, look.format(unit), EXPECTED, work) for title, unit, work in chosen]
