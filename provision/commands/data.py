"""data: what lies in object stores, and how to get rid of it."""

from __future__ import annotations

from typing import Annotated

import typer

from provision.commands.invocation import invocation_of
from provision.commands.options import AsJson, Yes
from provision.commands.output import confirm, examples, print_json, print_result, say
from provision.core.progress import waiting
from provision.core.text import size, table


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    data = typer.Typer(
        no_args_is_help=True, rich_markup_mode=None, help="List or delete what lies in the object store."
    )
    data.command("list", epilog=examples("data list", "data list --json"))(list_data)
    data.command("stores", epilog=examples("data stores", "data stores --json"))(list_stores)
    data.command(
        "rm",
        epilog=examples(
            "data rm digits/train_16     one set",
            "data rm digits              all of a data set",
            "data rm --store default     a store of this computer with all that is in it",
        ),
    )(remove_data)
    app.add_typer(data, name="data", epilog=examples("data list", "data rm digits/train_16"))


def list_data(context: typer.Context, as_json: AsJson = False) -> None:
    """List the data sets in the cluster's object store."""
    from provision.data import sets

    view = invocation_of(context).view()
    with waiting("asking the object store"):
        found = sets.list_sets(view.spec, view.state)
    if as_json:
        print_json(found)
        return
    if not found:
        print_result("The object store is empty; ./muster up fills it.")
        return
    print_result(
        table(("SET", "ROWS", "SIZE"), [(f["name"], f["rows"] or "", size(f["bytes"])) for f in found])
    )


def list_stores(as_json: AsJson = False) -> None:
    """List the object stores of this computer; they need no running cluster."""
    from provision.providers.local import stores

    found = stores.store_list()
    if as_json:
        print_json([vars(store) for store in found])
        return
    if not found:
        print_result("No object store on this computer yet; the first cluster makes one.")
        return
    rows = [(s.name, s.state, size(s.bytes), f"{len(s.clusters)}") for s in found]
    print_result(table(("STORE", "STATE", "SIZE", "CLUSTERS"), rows))


def remove_data(
    context: typer.Context,
    name: Annotated[
        str, typer.Argument(help="A data set, or one of its parts; see ./muster data list.")
    ] = "",
    store: Annotated[str, typer.Option(metavar="NAME", help="A whole store; no cluster may use it.")] = "",
    yes: Yes = False,
) -> None:
    """Delete data from the object store, or a whole store of this computer, for good."""
    if bool(name) == bool(store):
        raise typer.BadParameter("say either a data set or --store NAME")
    if store:
        from provision.providers.local import stores

        confirm(f"Delete the object store {store} with everything in it for good?", yes=yes)
        with waiting(f"deleting the store {store}"):
            stores.store_remove(store)
        say(f"Deleted the store {store}.")
        return
    from provision.data import sets

    view = invocation_of(context).view()
    where = view.spec.object_store
    place = where.path or (f"{where.url}, container {where.container}" if where.elsewhere else where.name)
    confirm(f"Delete {name} from the object store {place} for good?", yes=yes)
    with waiting(f"deleting {name}"):
        count = sets.remove(view.spec, view.state, name)
    say(f"Deleted {count} objects.")
