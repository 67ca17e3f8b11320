"""What the master says of the form: anything may come, and only what is meant gets through."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from provision.commands.launcher import described
from provision.core.errors import MusterError
from provision.core.features import require
from provision.services import launcher
from provision.ssh.tunnels import Dial

RUN = "cnn-20261129-100000-abcd"
GOOD = '{"run": "' + RUN + '", "dataset": "digits", "metric": "accuracy", "value": 0.98, "rule": "pinned"}'


@pytest.fixture
def answering() -> Iterator[Callable[[str], tuple[Dial, list[str]]]]:
    """Makes a server that answers everything alike; gives the way to it, and what it was asked."""
    servers = []

    def make(text: str) -> tuple[Dial, list[str]]:
        asked: list[str] = []

        class Remote(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: object) -> None:
                pass

            def do_GET(self) -> None:
                asked.append(f"{self.command} {self.path} {self.headers['Authorization']}")
                self.send_response(200)
                self.end_headers()
                self.wfile.write(text.encode())

            do_PUT = do_DELETE = do_GET  # noqa: N815

        server = ThreadingHTTPServer(("127.0.0.1", 0), Remote)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)

        def dial(machine: str, port: int) -> socket.socket:
            assert (machine, port) == ("127.0.0.1", launcher.PORT)
            return socket.create_connection(server.server_address[:2])

        return dial, asked

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("pin", "request_line"),
    [
        ("", "GET /model"),
        (RUN, f"PUT /model/{RUN}"),
        (f"{RUN}/raw_mlp", f"PUT /model/{RUN}/raw_mlp"),
        ("best", "DELETE /model"),
    ],
)
def test_whose_model_answers(answering, pin: str, request_line: str) -> None:
    dial, asked = answering(GOOD)
    found = launcher.model(dial, "Basic x", "pond-master", pin)
    assert found == {
        "run": RUN, "cluster": "", "dataset": "digits", "metric": "accuracy", "value": 0.98, "rule": "pinned",
        "notes": [],
    }  # fmt: skip
    assert asked == [f"{request_line} Basic x"]


def test_why_none_does_is_no_error_but_of_a_run_that_was_named(answering) -> None:
    dial, _ = answering('{"run": "", "problem": "There is no model yet"}')
    assert launcher.model(dial, "", "pond-master") == {"run": "", "problem": "There is no model yet"}
    with pytest.raises(MusterError, match="There is no model yet"):
        launcher.model(dial, "", "pond-master", RUN)


@pytest.mark.parametrize("text", ["", "[]", "<html>", "[" * 100_000])
def test_what_is_no_answer_of_it_is_said(answering, text: str) -> None:
    dial, _ = answering(text)
    with pytest.raises(MusterError, match="the launcher is not there yet, or does not answer"):
        launcher.model(dial, "", "pond-master")


def test_a_name_that_no_run_has_is_not_sent(answering) -> None:
    dial, asked = answering(GOOD)
    with pytest.raises(MusterError, match="../../x is no run"):
        launcher.model(dial, "", "pond-master", "../../x")
    assert asked == []


def test_a_value_that_is_no_number_is_none(answering) -> None:
    dial, _ = answering(GOOD.replace("0.98", '"x"'))
    assert launcher.model(dial, "", "pond-master")["value"] is None


def test_what_was_passed_over_is_told_in_lines(answering) -> None:
    told = GOOD.replace('"rule"', '"cluster": "lake", "notes": ["Passed over: x", 7], "rule"')
    found = launcher.model(answering(told)[0], "", "pond-master")
    assert (found["cluster"], found["notes"]) == ("lake", ["Passed over: x", "7"])
    assert described(found) == f"{RUN} of the cluster lake (pinned): accuracy 0.980 on digits"
    assert launcher.model(answering(GOOD[:-1] + ', "notes": 7}')[0], "", "pond-master")["notes"] == []


def test_how_it_is_switched_on() -> None:
    require("launcher", ("tracking", "launcher"), "pond.yml")
    with pytest.raises(MusterError) as refused:
        require("launcher", ("tracking",), "pond.yml")
    assert str(refused.value) == (
        "pond.yml: the launcher is not switched on. Write features: [launcher] there and run ./muster up"
    )
