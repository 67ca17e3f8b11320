"""size: which cluster holds a job's data, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any, TypeVar

import typer

from muster_node import sets
from provision.commands.options import AsJson, known_size
from provision.commands.output import examples, print_json, print_result, say
from provision.core.model import MachineType
from provision.core.spec import Shape
from provision.core.text import money, parse_size, table
from provision.core.text import size as amount
from provision.planning import rent
from provision.planning.rent import PIXEL_BYTES, Candidate, Work

Parsed = TypeVar("Parsed")


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command(
        "size",
        epilog=examples(
            "size --data 7GB --job logistic_regression        machines of all providers",
            "size --rows 35126 --image-size 128 --channels 3   the same, by rows",
            "size --data 7GB --shape 8x16 --shape 16x64        cores x GiB of your own",
            "size --data 7GB --provider ec2 --nodes 3",
        ),
    )(size)


def size(
    data: Annotated[str, typer.Option(help="The prepared set as CSV text, unpacked: 7GB, 500MB, 2GiB.")] = "",
    job: Annotated[str, typer.Option(help="The job.")] = "logistic_regression",
    image_size: Annotated[
        int, typer.Option("--image-size", help="Pixels a side.", callback=known_size)
    ] = sets.DEFAULT_SIZE,
    channels: Annotated[int, typer.Option(help="1 = grey, 3 = colour.")] = 1,
    rows: Annotated[int, typer.Option(min=0, help="Pictures, instead of --data.")] = 0,
    classes: Annotated[int, typer.Option(min=2, max=10000)] = 5,
    shapes: Annotated[
        list[str] | None, typer.Option("--shape", metavar="CORESxGIB", help="A machine; may be repeated.")
    ] = None,
    provider: Annotated[list[str] | None, typer.Option(help="Whose machines; may be repeated.")] = None,
    nodes: Annotated[int, typer.Option("--nodes", "-n", min=0, help="Exactly so many machines.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Show which machines hold a job's data, the cheapest first, and how each number comes about.

    Nobody is asked: types and prices are those of a table, and the memory is shared as the cluster shares it.
    """
    work = _work(data, job, image_size, channels, rows, classes)
    kinds, not_asked = _kinds(shapes or [], provider or [])
    found = rent.ranked(_of_each_shape(rent.smallest(work, kind, nodes) for kind in kinds))
    if as_json:
        print_json({"work": vars(work), "clusters": [_as_json(one) for one in found], "not_asked": not_asked})
        return
    print_result(table(_HEADER, [_row(one) for one in found]))
    for line in [*_explained(work, found), *not_asked]:
        print_result(line)
    if found and found[0].why_not:
        say(f"The job fits on none of these: {found[0].why_not}")
        raise typer.Exit(1)


_HEADER = (
    *("NODES", "MACHINE", "CORES", "GIB", "EXECUTORS", "HAS MIB", "NEEDS MIB", "PARTITIONS"),
    *("IN MEMORY", "$/H", "FITS"),
)


def _row(one: Candidate) -> tuple[object, ...]:
    kind, need, layout = one.kind, one.need, ("",) * 5
    if one.sizing and need:
        executors = f"{one.sizing.executors} x {one.sizing.executor_cores}"
        numbers = (str(one.executor_mb), str(need.per_executor_mb), str(need.partitions))
        layout = (executors, *numbers, f"{need.in_memory:.0%}")
    fits = "yes" if not one.why_not else f"no, by {need.missing_mb} MiB" if need else "no"
    shown = kind.name if kind.provider in ("", kind.name) else f"{kind.provider} {kind.name}"
    return one.nodes, shown, kind.shape.cores, f"{kind.shape.memory_gb:g}", *layout, money(one.hourly), fits


def _explained(work: Work, found: list[Candidate]) -> list[str]:
    """Return a line on each number; the first cluster is the example."""
    told = {
        "Rows": f"{work.rows:,} of {work.columns:,} numbers; --data counts {PIXEL_BYTES} bytes of CSV "
        "for each, --rows says how many"
    }
    first = found[0] if found else None
    if first and first.sizing and first.need:
        sizing, need, price = first.sizing, first.need, first.kind.price
        told |= {
            "NODES": "the fewest machines that hold all rows in memory; all run HDFS and Spark, the first "
            f"also the driver ({sizing.driver_memory_mb} MiB of heap; the job needs {need.driver_mb} in all)",
            "EXECUTORS": "how many x cores of each: the largest that, all alike, use (nearly) all that "
            "daemons and driver leave",
            "HAS MIB": "an executor, as main.yml configures it: "
            f"{sizing.executor_memory_mb} of heap, {sizing.executor_overhead_mb} for Python and overhead",
            "NEEDS MIB": f"what {work.job} takes of that at least, rows in memory not counted",
            "PARTITIONS": "so many that no task holds more than its part of an executor; 0 = little data, "
            "trained on by the driver alone",
            "IN MEMORY": f"how much of the rows ({amount(need.data_mb * 2**20)}) executors have room for; "
            "the rest is read from disks in each iteration",
            "$/H": "all machines, without disks, addresses, taxes and traffic: "
            f"{price.source if price else 'not known'}",
        }
    return table(("", ""), list(told.items())).splitlines()[1:]


def _work(data: str, job: str, side: int, channels: int, rows: int, classes: int) -> Work:
    """Return the work that the options mean. Raises typer.BadParameter."""
    if job not in rent.FOOTPRINTS:
        known = ", ".join(sorted(rent.FOOTPRINTS))
        raise typer.BadParameter(f"the memory of {job!r} is not known before it runs; known: {known}")
    if channels not in (1, 3):
        raise typer.BadParameter(f"{channels} channels: 1 is grey, 3 is colour")
    if bool(data) == bool(rows):
        raise typer.BadParameter("say how much there is: --data 7GB, or --rows 35126; one of them")
    columns = side * side * channels
    return Work(job, rows or rent.rows_in(_parsed(parse_size, data), columns), columns, classes)


def _kinds(shapes: list[str], names: list[str]) -> tuple[list[MachineType], list[str]]:
    """Return the machines to compare, and what was not asked about them. Raises typer.BadParameter."""
    from provision.providers import CLASSES
    from provision.providers.facts import facts_of

    if unknown := sorted(set(names) - set(CLASSES)):
        raise typer.BadParameter(f"there is no provider {unknown[0]!r}; known: {', '.join(CLASSES)}")
    kinds = [MachineType(str(shape), "", shape) for shape in (_parsed(Shape.parse, text) for text in shapes)]
    asked = names or ([] if shapes else [name for name in CLASSES if facts_of(name).types()])
    kinds += [kind for name in asked for kind in facts_of(name).types()]
    return kinds, [f"{name}: {facts_of(name).types_without}" for name in asked]


def _of_each_shape(found: Iterable[Candidate]) -> list[Candidate]:
    """Return, of the machines of one provider that are alike, the cheapest."""
    best: dict[tuple[object, ...], Candidate] = {}
    for one in rent.ranked(found):
        best.setdefault((one.kind.provider, one.kind.shape, one.kind.nodes), one)
    return list(best.values())


def _as_json(one: Candidate) -> dict[str, Any]:
    return {
        "nodes": one.nodes,
        "machine": one.kind.name,
        "provider": one.kind.provider,
        **vars(one.kind.shape),
        "fits": not one.why_not,
        "in_memory": one.in_memory,
        "why_not": one.why_not,
        "layout": vars(one.sizing) if one.sizing else None,
        "needs": vars(one.need) if one.need else None,
        "hourly": one.hourly,
        "price": one.kind.price.source if one.kind.price else "not known",
    }


def _parsed(parse: Callable[[str], Parsed], text: str) -> Parsed:
    try:
        return parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
