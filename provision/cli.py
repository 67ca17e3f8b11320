"""`./muster`: parses, calls the package, prints. Errors are one line; exit status 1, or 130 after Ctrl-C."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from provision.commands.catalogue import Catalogue
from provision.commands.invocation import Invocation
from provision.commands.output import examples, say
from provision.core.errors import MusterError, one_line

DEFAULT_INVENTORY = "inventories/local.yml"
# What typer raises for a wrong command line; it exports only the children.
UsageError: Any = typer.BadParameter.__base__
# Commands whose words after the first one belong to the machine they are sent to.
FOREIGN = frozenset({"ssh", "run"})

app = typer.Typer(
    name="muster",
    cls=Catalogue,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog=examples(
        "demo                              everything from nothing to a trained model, on this computer",
        "up -n 5 --image-size 128          a cluster of five nodes with the 128x128 data set",
        "submit logistic_regression        train on it",
        "-i inventories/other.yml status   another cluster",
        "destroy                           delete the machines; the data stays",
    ),
)


@app.callback()
def start(
    context: typer.Context,
    inventory: Annotated[
        str,
        typer.Option(
            "--inventory",
            "-i",
            metavar="FILE",
            envvar="MUSTER_INVENTORY",
            help="Which cluster: its config file.",
        ),
    ] = DEFAULT_INVENTORY,
) -> None:
    """Gathers a training cluster from one config file: machines, HDFS, Spark, deep learning, staged data."""
    context.obj = Invocation(inventory)


def inventory_first(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with `-i FILE` moved to the front: it may be said after the command too."""
    front: list[str] = []
    rest: list[str] = []
    words = list(arguments)
    own = 0  # words that are not options: the command, then its arguments
    while words:
        word = words.pop(0)
        if word == "--" and own == 1 and rest[0] == "ssh":
            rest.append("master")  # click drops the first --, so that a command would be taken for a machine
        if word == "--" or (own >= 2 and rest[0] in FOREIGN):
            rest += [word, *words]
            break
        if word in ("-i", "--inventory") and words:
            front += [word, words.pop(0)]
        elif word.startswith("--inventory=") or (word.startswith("-i") and len(word) > 2):
            front.append(word)
        else:
            own += not word.startswith("-")
            rest.append(word)
    return front + rest


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status."""
    status = 0
    words = inventory_first(sys.argv[1:] if arguments is None else arguments)
    try:
        done = app(words, prog_name="./muster", standalone_mode=False)
        status = done if isinstance(done, int) else 0
    except MusterError as error:
        say(f"muster: {error}")
        status = error.exit_status
    except UsageError as error:
        said = error.format_message()
        # No arguments at all: the message is the help.
        ended = said if said.endswith((".", "?")) else f"{said}."
        command = error.ctx.command_path if error.ctx else "./muster"
        say(said if "\n" in said else f"muster: {ended} See {command} --help")
        status = error.exit_code
    except typer.Abort:
        say("muster: given up; nothing was changed")
        status = 1
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        if os.environ.get("MUSTER_DEBUG"):
            raise
        say(
            f"muster: a fault in Muster itself: {type(error).__name__}: {one_line(str(error))} "
            "(MUSTER_DEBUG=1 shows where)"
        )
        status = 1
    if status == 130:
        say("muster: interrupted; the same command goes on where it stopped")
    return status


if __name__ == "__main__":
    sys.exit(main())
