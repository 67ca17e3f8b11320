"""The proofs of what the config file switches on: real requests, over TLS where there is TLS."""

from __future__ import annotations

import datetime
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from muster_node.notebook import keys
from muster_node.proofs import features
from muster_node.proofs.checks import checks
from muster_node.proofs.features import basic, guarded, launcher, mlflow, notebook
from muster_node.proofs.plan import Plan, make
from muster_node.tracking import settings
from muster_node.tracking.settings import Settings

GOOD = "answers; others are refused (401)"
Serve = Callable[..., int]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a server that lets in one header ('' = everybody); returns its port."""
    servers = []

    def start(header: str, folder: Path | None = None) -> int:
        class Remote(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: object) -> None:
                pass

            def do_GET(self) -> None:
                self.send_response(200 if header in ("", self.headers["Authorization"]) else 401)
                self.end_headers()

        server = ThreadingHTTPServer(("127.0.0.1", 0), Remote)
        if folder:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(folder / keys.CERTIFICATE, folder / keys.KEY)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        servers.append(server)
        return int(server.server_address[1])

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Keys and token of a notebook."""
    return made(tmp_path / "notebook")


def made(folder: Path) -> Path:
    keys.ensure(folder, "pond-master", datetime.datetime.now(datetime.UTC), user="")
    return folder


def test_mlflow_answers_the_user_of_jobs_alone(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "FILE", tmp_path / "tracking.json")
    assert mlflow() == (False, "its settings are missing")
    for header, found in (
        (basic("jobs", "secret"), (True, GOOD)),
        ("", (False, "answers; others are let in")),
        (basic("jobs", "another"), (False, "refuses its own login (401)")),
    ):
        known = Settings(f"http://127.0.0.1:{serve(header)}", "jobs", "secret", "pond", "1")
        settings.FILE.write_text(json.dumps(asdict(known)))
        assert mlflow() == found


def test_jupyterlab_answers_over_tls_who_has_its_token(serve: Serve, folder: Path, tmp_path: Path) -> None:
    right = f"token {(folder / keys.TOKEN).read_text()}"
    assert notebook(folder, serve(right, folder)) == (True, GOOD)
    assert notebook(folder, serve("", folder)) == (False, "answers; others are let in")
    proved, said = notebook(folder, serve(right, made(tmp_path / "of-another")))
    assert not proved and "certificate verify failed" in said, "and it is not waited for"


def test_the_launcher_answers_over_its_login(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret")
    port = serve(basic("launcher", "secret"))
    (tmp_path / "launcher.json").write_text(json.dumps({"port": port}))
    assert launcher(tmp_path / "launcher.json", tmp_path / "password") == (True, GOOD)


def test_a_service_that_is_starting_is_waited_for_and_one_that_is_not_there_is_said(
    serve: Serve, tmp_path: Path
) -> None:
    late = tmp_path / "password"
    threading.Timer(0.2, late.write_text, ("secret",)).start()
    page = f"http://127.0.0.1:{serve(basic('x', 'secret'))}/"
    assert guarded(page, lambda: basic("x", late.read_text()), "") == (True, GOOD)
    proved, said = guarded("http://127.0.0.1:9/", lambda: basic("x", "secret"), "", wait_s=0)
    assert not proved and said.startswith("does not answer (") and "secret" not in said


def test_each_feature_is_proved_where_it_is_on_and_nothing_where_it_is_off() -> None:
    on = Plan(features=("launcher", "tracking"))
    assert [each.name for each in checks(on)] == ["MLflow", "Launcher"]
    assert checks(Plan()) == []
    (check,) = checks(Plan(features=("notebook",)))
    answer = make(check)
    assert (answer.ok, answer.remedy) == (
        False, "Look at `journalctl -u muster-notebook` on the master, then run main.yml",
    )  # fmt: skip
    assert set(features.PROOFS) == {"tracking", "notebook", "launcher"}
