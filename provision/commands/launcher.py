"""launcher: the form for pictures in this computer's browser."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

import typer

from provision.commands.invocation import invocation_of
from provision.commands.options import AsJson
from provision.commands.output import examples, print_json, print_result
from provision.commands.ui import connected, until_closed, until_lost


def register(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command(
        "launcher",
        epilog=examples(
            "launcher               Ctrl-C closes it again",
            "launcher --json        prints address and model as JSON first",
            "launcher --pin RUN     this run's model answers from now on",
            "launcher --pin best    the best one does again",
        ),
    )(launcher)


def launcher(
    context: typer.Context,
    as_json: AsJson = False,
    pin: Annotated[
        str, typer.Option(help="Let this run's model answer, or the `best`, and end.", metavar="RUN")
    ] = "",
) -> None:
    """Open the form that asks the best model about pictures, through SSH, only for you, until Ctrl-C."""
    from provision.core.features import require
    from provision.services import launcher as service
    from provision.services.gate import Gate
    from provision.services.pages import Pages
    from provision.ssh.tunnels import through

    invocation = invocation_of(context)
    spec = invocation.spec()
    require(service.FEATURE, spec.features, invocation.given)
    view = invocation.view(spec)
    with connected(view) as (master, link):
        header = service.authorization(link, master)
        dial = through(link)
        model = service.model(dial, header, master, pin)
        if pin:
            print_json(model) if as_json else print_result(described(model))
            return
        pages = Pages({}, dial, Gate(write=True), {service.PORT: header})
        try:
            address = pages.entrance(service.HOST, service.PORT)
            if as_json:
                print_json({"address": address, "model": model})
            else:
                print_result(f"Launcher     {address}")
                print_result(f"Model        {described(model)}")
                for note in model.get("notes", ()):
                    print_result(f"             {note}")
            until_closed(partial(until_lost, link), "launcher")
        finally:
            pages.close()


def described(model: dict[str, Any]) -> str:
    """Return whose model answers in a line, see `services.launcher.model`."""
    if not model["run"]:
        return str(model["problem"])
    value = model["value"]
    shown = f" {value:.3f}" if isinstance(value, float) else ""
    of = f" of the cluster {model['cluster']}" if model["cluster"] else ""
    return f"{model['run']}{of} ({model['rule']}): {model['metric']}{shown} on {model['dataset']}"
