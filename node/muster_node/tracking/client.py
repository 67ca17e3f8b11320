"""MLflow's REST interface, as far as the queue needs it: no library, and quick to load.

https://mlflow.org/docs/latest/api_reference/rest-api.html
"""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import IO, Any

from muster_node.authorization import basic
from muster_node.tracking.settings import Settings, Untracked

API = "/api/2.0/mlflow/"
ARTIFACTS = "mlflow-artifacts:"
BATCH = 900
"""MLflow takes 1,000 entries in one request, of which 100 may be parameters or tags."""
FEW = 100
LONGEST = 5000
"""Characters of a tag's or parameter's value; MLflow takes some more."""
PAGE = 500
NEWEST = "attributes.start_time DESC"
"""The order in which the newest runs come first."""


class Server:
    """The tracking server. Every method raises Untracked.

    Args:
        settings: where it is.
        timeout_s: how long an answer may take, in seconds.
    """

    def __init__(self, settings: Settings, timeout_s: float = 10.0) -> None:
        self.settings = settings
        self._timeout_s = timeout_s
        self._headers = {"Authorization": basic(settings.user, settings.password)}
        self._direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def get(self, what: str, **query: str) -> dict[str, Any]:
        """Ask for something."""
        return self._json("GET", f"{API}{what}?{urllib.parse.urlencode(query)}", None)

    def post(self, what: str, **body: object) -> dict[str, Any]:
        """Have something done, or searched."""
        return self._json("POST", f"{API}{what}", body)

    def wait(self, deadline_s: float) -> None:
        """Return once it answers. Raises Untracked after so many seconds."""
        end = time.monotonic() + deadline_s
        while True:
            try:
                self.post("experiments/search", max_results=1)
            except Untracked:
                if time.monotonic() > end:
                    raise
                time.sleep(0.5)
            else:
                return

    def experiment(self, name: str) -> str:
        """Return the id of an experiment, which is made when there is none."""
        for known in self.experiments():
            if known["name"] == name:
                return str(known["experiment_id"])
        return str(self.post("experiments/create", name=name)["experiment_id"])

    def experiments(self) -> list[dict[str, Any]]:
        """Return the experiments that were not deleted."""
        return list(self._pages("experiments/search", "experiments", {"view_type": "ACTIVE_ONLY"}))

    def runs(self, where: str = "", order: str = NEWEST, most: int | None = None) -> list[dict[str, Any]]:
        """Return runs of all experiments, the newest first.

        Args:
            where: only these, in MLflow's search syntax.
            order: another one, such as `metrics.accuracy DESC`: runs without it come last.
            most: at most so many; None = all.
        """
        known = [each["experiment_id"] for each in self.experiments()]
        body = {"experiment_ids": known, "filter": where, "order_by": [order]}
        found = self._pages("runs/search", "runs", body, min(most or PAGE, PAGE)) if known else iter(())
        return list(islice(found, most))

    def create(self, experiment: str, name: str, tags: Mapping[str, str], *, start: float) -> dict[str, Any]:
        """Begin a run; `start` is in seconds since the epoch."""
        made = self.post(
            "runs/create", experiment_id=experiment, run_name=name, start_time=int(start * 1000),
            tags=pairs(tags),
        )  # fmt: skip
        return dict(made["run"])

    def end(self, run_id: str, status: str, *, end: float) -> None:
        """Set how a run ended (FINISHED, FAILED or KILLED), and when, in seconds since the epoch."""
        self.post("runs/update", run_id=run_id, status=status, end_time=int(end * 1000))

    def log(
        self,
        run_id: str,
        *,
        metrics: Sequence[Mapping[str, object]] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Log all of these; metrics have `key value timestamp step`."""
        for part in _parts(pairs(tags or {}), FEW):
            self.post("runs/log-batch", run_id=run_id, tags=part)
        for part in _parts(pairs(params or {}), FEW):
            self.post("runs/log-batch", run_id=run_id, params=part)
        for part in _parts(list(metrics), BATCH):
            self.post("runs/log-batch", run_id=run_id, metrics=part)

    def upload(self, artifact_uri: str, name: str, content: IO[bytes], size: int) -> None:
        """Write a file below a run's `artifact_uri`, which leads through the server."""
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        with self._ask("PUT", _artifact(artifact_uri, name), content, headers):
            pass

    def download(self, artifact_uri: str, name: str) -> bytes:
        """Return the content of a file below a run's `artifact_uri`."""
        with self._ask("GET", _artifact(artifact_uri, name), None, {}) as answer:
            return bytes(answer.read())

    def _pages(
        self, what: str, key: str, body: Mapping[str, object], size: int = PAGE
    ) -> Iterator[dict[str, Any]]:
        token = ""
        while True:
            page = {"page_token": token} if token else {}
            answer = self.post(what, max_results=size, **body, **page)
            yield from answer.get(key, [])
            token = answer.get("next_page_token", "")
            if not token:
                return

    def _json(self, method: str, path: str, body: object) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        with self._ask(method, path, data, {"Content-Type": "application/json"}) as answer:
            try:
                found = json.load(answer)
            except ValueError as error:
                raise Untracked(f"{self.settings.url}{path}: {error}") from error
        return dict(found)

    def _ask(
        self, method: str, path: str, data: bytes | IO[bytes] | None, headers: Mapping[str, str]
    ) -> http.client.HTTPResponse:
        request = urllib.request.Request(  # noqa: S310  always http, see the role
            f"{self.settings.url}{path}", data=data, headers={**self._headers, **headers}, method=method
        )
        try:
            answer: http.client.HTTPResponse = self._direct.open(request, timeout=self._timeout_s)
        except urllib.error.HTTPError as error:
            raise Untracked(f"{path.partition('?')[0]}: {error.code} {_reason(error)}") from error
        except (OSError, http.client.HTTPException) as error:
            raise Untracked(f"{self.settings.url} does not answer ({error})") from error
        return answer


def pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    """Return tags or parameters as MLflow takes them."""
    return [{"key": key, "value": value[:LONGEST]} for key, value in values.items()]


def _parts(entries: list[Any], most: int) -> Iterator[list[Any]]:
    return (entries[first : first + most] for first in range(0, len(entries), most))


def _artifact(artifact_uri: str, name: str) -> str:
    if not artifact_uri.startswith(ARTIFACTS):
        raise Untracked(f"{artifact_uri} does not lead through the server")
    path = urllib.parse.urlsplit(artifact_uri).path.strip("/")
    return f"/api/2.0/mlflow-artifacts/artifacts/{urllib.parse.quote(f'{path}/{name}')}"


def _reason(error: urllib.error.HTTPError) -> str:
    """Return what the server says in one line."""
    try:
        told = json.loads(error.read(4096))["message"]
    except (OSError, ValueError, KeyError, TypeError):
        told = error.reason
    return " ".join(str(told).split())[:300]
