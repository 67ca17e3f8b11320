"""The pages: a form for pictures, what was found of one picture, a table of several."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from answering import Answer, Chosen, Desk
from anyio import CapacityLimiter, to_thread
from jinja2 import Environment, FileSystemLoader, select_autoescape
from runs import NoModel
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from uploads import LARGEST, MIB, MOST, Refused, Upload, drain, limited, uploads

from muster_node.hdfs.webhdfs import HdfsError

HERE = Path(__file__).parent
LIKELIEST = 10
"""Classes whose probabilities a page shows."""


class Form:
    """The pages of one desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._one = CapacityLimiter(1)
        self._pages = Environment(loader=FileSystemLoader(HERE / "templates"), autoescape=select_autoescape())
        self.app = Starlette(
            routes=[
                Route("/", self.ask, methods=["GET"]),
                Route("/", self.answer, methods=["POST"]),
                Route("/model", self.model, methods=["GET"]),
                Route("/model", self.unpin, methods=["DELETE"]),
                Route("/model/{run:path}", self.pin, methods=["PUT"]),
                Route("/style.css", self.style, methods=["GET"]),
            ]
        )

    async def ask(self, request: Request) -> Response:
        """Show the form, and have the model ready."""
        del request
        page = await self._page("form.html")
        page.background = BackgroundTask(self._run, self._desk.warm)
        return page

    async def style(self, request: Request) -> Response:
        """Return how pages look."""
        del request
        return Response((HERE / "style.css").read_text(encoding="utf-8"), media_type="text/css")

    async def answer(self, request: Request) -> Response:
        """Take pictures, one after another, and show what was found."""
        body = limited(request.stream())
        answers: list[Answer] = []
        held: Upload | None = None
        try:
            run = (await self._run(self._desk.ready)).run
            ask = partial(self._run, self._desk.answer)
            async for upload in uploads(body, request.headers.get("content-type", "")):
                if held:
                    answers.append(await ask(held, run, look=False))
                held = upload
            if not held:
                raise Refused(400, "No picture was sent: choose one first")
            answers.append(await ask(held, run, look=not answers))
        except (Refused, NoModel, HdfsError) as error:
            await drain(body)
            status = error.status if isinstance(error, Refused) else 503
            return await self._page("form.html", status, problem=str(error))
        except ClientDisconnect:
            return Response(status_code=400)
        if len(answers) > 1:
            return await self._page("table.html", answers=answers, table=as_csv(answers))
        (only,) = answers
        if only.problem:
            return await self._page("form.html", 422, problem=only.problem)
        return await self._page("answer.html", answer=only)

    async def model(self, request: Request) -> Response:
        """Return whose model answers, for programs."""
        del request
        return await self._told(self._desk.choose)

    async def pin(self, request: Request) -> Response:
        """Let a run's model answer, for programs."""
        return await self._told(partial(self._desk.pin, request.path_params["run"]))

    async def unpin(self, request: Request) -> Response:
        """Let the best model answer again, for programs."""
        del request
        return await self._told(partial(self._desk.pin, ""))

    async def _told(self, choose: Any) -> Response:  # noqa: ANN401
        try:
            return JSONResponse(as_json(await self._run(choose)))
        except (NoModel, HdfsError) as error:
            return JSONResponse({"run": "", "problem": str(error)})

    async def _page(self, name: str, status: int = 200, **words: Any) -> Response:  # noqa: ANN401
        chosen, lack = None, ""
        try:
            chosen = await self._run(self._desk.choose)
        except (NoModel, HdfsError) as error:
            lack = str(error)
        page = self._pages.get_template(name)
        text = page.render(
            chosen=chosen, lack=lack, most=MOST, largest=LARGEST // MIB, likeliest=LIKELIEST, **words
        )
        return HTMLResponse(text, status)

    async def _run(self, call: Any, *words: Any, **named: Any) -> Any:  # noqa: ANN401
        return await to_thread.run_sync(partial(call, *words, **named), limiter=self._one)


def as_json(chosen: Chosen) -> dict[str, Any]:
    """Return whose model answers as plain JSON types."""
    return {
        "run": chosen.run.name,
        "dataset": chosen.run.dataset,
        "metric": chosen.metric,
        "value": chosen.value,
        "rule": chosen.rule,
        "cluster": chosen.run.cluster,
        "notes": chosen.notes,
    }


def as_csv(answers: Sequence[Answer]) -> str:
    """Return the address of a table of all answers: file, class, problem, the probability of each class."""
    names = sorted({name for answer in answers for name, _ in answer.shares})
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\r\n")
    lines.writerow(["file", "class", "problem", *(f"p_{name}" for name in names)])
    for answer in answers:
        shares = dict(answer.shares)
        row = (f"{shares[name]:.6g}" if name in shares else "" for name in names)
        lines.writerow([harmless(answer.name), answer.said, harmless(answer.problem), *row])
    return "data:text/csv;charset=utf-8;base64," + base64.b64encode(text.getvalue().encode()).decode()


def harmless(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
