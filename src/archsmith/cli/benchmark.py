"""The command ``archsmith benchmark``: strategies on a benchmark table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .._support.errors import InputError
from .._support.files import write_text
from .output import interruptible, only_json, print_json, results_console, say

if TYPE_CHECKING:
    from ..bench import BenchmarkResult

_Json = Annotated[
    bool,
    typer.Option(
        "--json", help='One JSON document alone; {"results": [...]} of several strategies.'
    ),
]


def benchmark(
    table: Annotated[str, typer.Argument(metavar="TABLE", help="See archsmith list tables.")],
    file: Annotated[
        Path | None,
        typer.Option(help="The table's file; in the folder ARCHSMITH_DATA if left out."),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="One of the file's; the first if left out.")
    ] = None,
    strategy: Annotated[
        list[str] | None, typer.Option(help="Search strategy; several are compared.")
    ] = None,
    queries: Annotated[int, typer.Option(help="Full evaluations of a run.")] = 100,
    repeats: Annotated[int, typer.Option(help="Runs, each with another seed.")] = 20,
    seed: Annotated[int, typer.Option(help="Seed of the first run.")] = 0,
    workers: Annotated[int, typer.Option(help="Simulated workers side by side.")] = 1,
    maximize: Annotated[list[str] | None, typer.Option(help="One more metric to maximise.")] = None,
    minimize: Annotated[list[str] | None, typer.Option(help="One more metric to minimise.")] = None,
    limit: Annotated[
        list[str] | None, typer.Option(help="Hard limit, such as 'params_M<=0.5'.")
    ] = None,
    processes: Annotated[
        int | None, typer.Option(help="Runs at once; as many as pays if left out.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="SVG file for regret and share over queries.")
    ] = None,
    as_json: _Json = False,
) -> None:
    """Run strategies on a benchmark table, again and again, and say how near the best they come."""
    names = list(dict.fromkeys(strategy or ["auto"]))
    _check_picture(picture)
    with (
        interruptible("a benchmark keeps nothing of runs that were not all done"),
        only_json(as_json),
    ):
        from ..bench import compare, read_table
        from ..bench.progress import Runs

        opened = read_table(table, file, dataset)
        with Runs() as runs:
            results = compare(
                opened,
                names,
                queries=queries,
                repeats=repeats,
                seed=seed,
                workers=workers,
                maximize=maximize or (),
                minimize=minimize or (),
                limits=limit or (),
                processes=processes,
                on_repeat=runs.told,
            )
    if picture is not None:
        _write(picture, results)
    if as_json:
        found = [result.to_json() for result in results]
        print_json(found[0] if len(found) == 1 else {"results": found})
        return
    _print(results)
    if picture is not None:
        say(f"picture: {picture}")


def list_tables() -> None:
    """Names of the benchmark tables, what they are, and the data sets of those at hand."""
    import os

    from ..tables import tables

    folder = os.environ.get("ARCHSMITH_DATA")
    names = tables.names()
    width = max(map(len, names))
    for name in names:
        reader = tables.get(name)()
        say(f"{name:<{width}}  {reader.about}; {reader.file}")
        path = Path(folder) / reader.file if folder else None
        if path is not None and path.is_file():
            try:
                found = f"data sets: {', '.join(reader.datasets(path))}"
            except InputError as error:
                found = f"cannot be read: {error.got}"
            say(f"{'':<{width}}  {found}")


def _check_picture(path: Path | None) -> None:
    if path is None:
        return
    if path.suffix != ".svg":
        raise InputError("--picture", "a file that ends in .svg", str(path))
    if not path.parent.is_dir():
        raise InputError("--picture", "a file in a folder that is there", str(path))


def _write(path: Path, results: Sequence[BenchmarkResult]) -> None:
    from ..bench import picture

    try:
        write_text(path, picture(results))
    except OSError as error:
        raise InputError("--picture", "a file that can be written", str(error)) from None


def _print(results: Sequence[BenchmarkResult]) -> None:
    from ..bench.text import summary

    console = results_console(240)
    console.print(summary(results, console.width))
