"""MLflow's REST interface as the queue uses it, in memory; what it answers was read from version 3.17.2."""

from __future__ import annotations

import base64
import json
import math
import re
import urllib.parse
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar

PASSWORD = "a secret of jobs"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts/"


class MlflowHandler(BaseHTTPRequestHandler):
    """Answers one request; what is known lies in the class, see `fresh`."""

    experiments: ClassVar[dict[str, str]]
    runs: ClassVar[dict[str, dict[str, Any]]]
    files: ClassVar[dict[str, bytes]]

    @classmethod
    def fresh(cls) -> type[MlflowHandler]:
        """Return a handler that knows nothing yet."""
        return type("Mlflow", (cls,), {"experiments": {"0": "Default"}, "runs": {}, "files": {}})

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""

    def do_POST(self) -> None:
        """Carry out what is asked."""
        body = json.loads(self._body())
        verb = self.path.removeprefix("/api/2.0/mlflow/").replace("/", "_").replace("-", "_")
        self._answer(getattr(self, f"_{verb}")(body))

    def do_PUT(self) -> None:
        """Keep a file."""
        self.files[self.path.removeprefix(ARTIFACTS)] = self._body()
        self._answer({})

    def do_GET(self) -> None:
        """Return a file, or what is in a folder."""
        path, _, query = self.path.partition("?")
        name = path.removeprefix(ARTIFACTS)
        if path.endswith("/artifacts/list"):
            self._answer(self._listed(dict(urllib.parse.parse_qsl(query))))
        elif name in self.files:
            self._send(200, self.files[name])
        else:
            self._send(404, json.dumps({"message": f"No such artifact: '{name}'"}).encode())

    def _listed(self, asked: dict[str, str]) -> dict[str, Any]:
        root = self.runs[asked["run_id"]]["info"]["artifact_uri"].removeprefix("mlflow-artifacts:/")
        below = f"{root}/{asked['path']}/"
        names = [name for name in self.files if name.startswith(below)]
        found = [
            {"path": name.removeprefix(f"{root}/"), "is_dir": False, "file_size": len(self.files[name])}
            for name in names
            if "/" not in name.removeprefix(below)
        ]
        return {"root_uri": f"mlflow-artifacts:/{root}"} | ({"files": found} if found else {})

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"]))

    def _answer(self, told: dict[str, Any]) -> None:
        known = "Basic " + base64.b64encode(f"jobs:{PASSWORD}".encode()).decode()
        if self.headers["Authorization"] != known:
            self._send(401, b"You are not authenticated.")
        else:
            self._send(200, json.dumps(told).encode())

    def _send(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _experiments_search(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"experiments": [{"experiment_id": id, "name": name} for id, name in self.experiments.items()]}

    def _experiments_create(self, body: dict[str, Any]) -> dict[str, Any]:
        number = str(len(self.experiments))
        self.experiments[number] = body["name"]
        return {"experiment_id": number}

    def _runs_create(self, body: dict[str, Any]) -> dict[str, Any]:
        number = f"{len(self.runs):032x}"
        info = {
            "run_id": number, "run_name": body["run_name"], "experiment_id": body["experiment_id"],
            "status": "RUNNING", "start_time": body["start_time"],
            "artifact_uri": f"mlflow-artifacts:/{body['experiment_id']}/{number}/artifacts",
        }  # fmt: skip
        self.runs[number] = {"info": info, "data": {"tags": list(body["tags"]), "params": [], "metrics": []}}
        return {"run": self.runs[number]}

    def _runs_update(self, body: dict[str, Any]) -> dict[str, Any]:
        self.runs[body["run_id"]]["info"] |= {"status": body["status"], "end_time": body["end_time"]}
        return {}

    def _runs_log_batch(self, body: dict[str, Any]) -> dict[str, Any]:
        data = self.runs[body["run_id"]]["data"]
        for kind in ("tags", "params", "metrics"):
            for each in body.get(kind, ()):
                if kind != "metrics":
                    data[kind] = [one for one in data[kind] if one["key"] != each["key"]]
                data[kind].append(each)
        return {}

    def _runs_search(self, body: dict[str, Any]) -> dict[str, Any]:
        """Know `attributes.status = 'X'`, tags that are something or anything, and the largest of a metric."""
        asked, order = body["filter"], body["order_by"][0]
        status = re.search(r"status = '(\w+)'", asked)
        wanted = re.findall(r"tags\.`([\w.]+)` (=|!=) '([^']*)'", asked)
        found = []
        for run in reversed(self.runs.values()):
            tags = {each["key"]: each["value"] for each in run["data"]["tags"]}
            fits = all(key in tags and (tags[key] == value) == (sign == "=") for key, sign, value in wanted)
            if fits and (not status or run["info"]["status"] == status[1]):
                found.append(run)
        if metric := re.fullmatch(r"metrics\.(\w+) DESC", order):
            found.sort(key=lambda run: _metric(run, metric[1]), reverse=True)
        return {"runs": found[: body["max_results"]]}


def _metric(run: dict[str, Any], name: str) -> float:
    known = {each["key"]: float(each["value"]) for each in run["data"]["metrics"]}
    return known.get(name, -math.inf)
