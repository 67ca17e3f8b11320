"""notebook: JupyterLab on the master, and the engines of ipyparallel, from this computer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from provision.commands.invocation import invocation_of, shown
from provision.commands.options import AsJson
from provision.commands.output import examples, print_json, print_result, say
from provision.commands.ui import until_closed
from provision.core.progress import waiting


def register(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command(
        "notebook",
        epilog=examples(
            "notebook             JupyterLab at an address of this computer, until Ctrl-C",
            "notebook --engines   the file that ipyparallel.Client takes, until Ctrl-C",
            "notebook --json      the same for a program",
        ),
    )(notebook)


def notebook(
    context: typer.Context,
    as_json: AsJson = False,
    engines: Annotated[bool, typer.Option("--engines", help="Reach the engines of ipyparallel.")] = False,
) -> None:
    """Open JupyterLab on the master through SSH, until Ctrl-C; with --engines those of ipyparallel."""
    from provision.core.features import NOTEBOOK, require
    from provision.ssh.run import pick_machine

    invocation = invocation_of(context)
    require(NOTEBOOK, invocation.spec().features, shown(invocation.inventory))
    state = invocation.started()
    master = pick_machine("", state.cluster, list(state.targets()))
    if engines:
        _engines(state.folder, state.ssh_config, master, as_json=as_json)
    else:
        _lab(state.folder, state.ssh_config, master, as_json=as_json)


def _lab(folder: Path, config: Path, master: str, *, as_json: bool) -> None:
    from provision.core import files
    from provision.services.notebook import PORT, door
    from provision.ssh.tunnels import free_ports, to_ports

    with waiting(f"connecting to {master}"):
        found = door(config, master)
    authority = folder / "notebook-ca.pem"
    files.write(authority, found.authority)
    (port,) = free_ports(1, [PORT])
    with to_ports(config, master, {port: PORT}) as link:
        address = found.address(port)
        if as_json:
            print_json(
                {
                    "address": address,
                    "token": found.token,
                    "authority": str(authority),
                    "sha256": found.fingerprint,
                }
            )
        else:
            print_result(f"JupyterLab   {address}")
            print_result(f"Certificate  {shown(authority)}")
            print_result(f"    SHA-256  {found.fingerprint}")
        until_closed(link.wait, "notebook")


def _engines(folder: Path, config: Path, master: str, *, as_json: bool) -> None:
    from provision.services import notebook as services
    from provision.ssh.tunnels import free_ports, to_ports

    with waiting(f"connecting to {master}"):
        found = services.engines(config, master)
    if found.lacking:
        say(f"Not all engines have joined: {found.lacking}")
    here = dict(zip(services.CHANNELS, free_ports(len(services.CHANNELS)), strict=True))
    with to_ports(config, master, {here[name]: there for name, there in services.CHANNELS.items()}) as link:
        path = folder / "engines.json"
        services.connection_file(path, found, here)
        try:
            if as_json:
                print_json({"file": str(path), "engines": list(found.there)})
            else:
                print_result(str(path))
                say(f"{len(found.there)} engines; ipyparallel.Client takes this file as long as this runs.")
            until_closed(link.wait, "notebook")
        finally:
            path.unlink(missing_ok=True)
