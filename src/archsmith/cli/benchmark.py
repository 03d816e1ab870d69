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
        "--json",
        help='Print one JSON document and nothing else; {"results": [...]} for several strategies.',
    ),
]


def benchmark(
    table: Annotated[
        str, typer.Argument(metavar="TABLE", help="Benchmark table (archsmith list tables).")
    ],
    file: Annotated[
        Path | None,
        typer.Option(help="The table's file; default: looked up in the folder ARCHSMITH_DATA."),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Data set of the file; default: the first.")
    ] = None,
    strategy: Annotated[
        list[str] | None, typer.Option(help="Search strategy; repeat it to compare several.")
    ] = None,
    queries: Annotated[int, typer.Option(help="Full evaluations per run.")] = 100,
    repeats: Annotated[int, typer.Option(help="Number of runs, each with its own seed.")] = 20,
    seed: Annotated[int, typer.Option(help="Seed of the first run.")] = 0,
    workers: Annotated[int, typer.Option(help="Number of simulated parallel workers.")] = 1,
    maximize: Annotated[
        list[str] | None, typer.Option(help="Additional metric to maximise.")
    ] = None,
    minimize: Annotated[
        list[str] | None, typer.Option(help="Additional metric to minimise.")
    ] = None,
    limit: Annotated[
        list[str] | None, typer.Option(help="Hard limit, such as 'params_M<=0.5'; may be repeated.")
    ] = None,
    processes: Annotated[
        int | None, typer.Option(help="Parallel runs; default: as many as are worthwhile.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="SVG file with curves over the queries.")
    ] = None,
    as_json: _Json = False,
) -> None:
    """Run strategies repeatedly on a benchmark table and report how close to the best they get."""
    names = list(dict.fromkeys(strategy or ["auto"]))
    _check_picture(picture)
    with (
        interruptible("a benchmark keeps no results before all runs are done"),
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
        documents = [result.to_json() for result in results]
        print_json(documents[0] if len(documents) == 1 else {"results": documents})
        return
    _print(results)
    if picture is not None:
        say(f"picture: {picture}")


def list_tables() -> None:
    """List the benchmark tables, what they are, and the data sets of those found locally."""
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
                status = f"data sets: {', '.join(reader.datasets(path))}"
            except InputError as error:
                status = f"cannot be read: {error.got}"
            say(f"{'':<{width}}  {status}")


def _check_picture(path: Path | None) -> None:
    if path is None:
        return
    if path.suffix != ".svg":
        raise InputError("--picture", "a file that ends in .svg", str(path))
    if not path.parent.is_dir():
        raise InputError("--picture", "a file in an existing folder", str(path))


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
