"""Results as text for a terminal or a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from ..history.numbers import metric_name, short
from .result import BenchmarkResult, held

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

_WIDE = 110  # least line length at which times are shown
_CELL = 16  # width in characters of a column of means with shares


def summary(results: Sequence[BenchmarkResult], width: int = 240) -> Group:
    """One strategy at several numbers of queries, or a comparison of several strategies.

    Args:
        results: of one table and data set.
        width: characters in a line; if it is small, less important columns are left out.
    """
    from rich.console import Group
    from rich.text import Text

    parts: list[Any] = [Text(_heading(results[0]), style="bold")]
    if results[0].note:
        parts.append(Text(f"note: {results[0].note}", style="dim"))
    if results[0].time_unit != "s":
        parts.append(Text(f"simulated time is in {results[0].time_unit}", style="dim"))
    if any(_incomplete(result) for result in results):
        parts.append(Text(f"means are over the runs that have {held(results[0])}", style="dim"))
    parts += [Text(r.says, style="dim") for r in results if r.says not in ("", r.strategy)]
    if len(results) == 1:
        parts.append(_by_queries(results[0]))
    else:
        parts += [_by_strategy(results, width), _over_queries(results, width)]
    for result in results:
        parts += [Text(line, style="dim") for line in _reasons(result)]
    return Group(*parts)


def _heading(result: BenchmarkResult) -> str:
    workers = f", {result.workers} simulated workers" if result.workers > 1 else ""
    goals = ", ".join([*result.objectives, *result.limits])
    end = "" if result.repeats == 1 else "s"
    return (
        f"{result.table} {result.dataset}: {goals}; {result.repeats} run{end} of "
        f"{_queries(result.queries)}{workers}, seed {result.seed}"
    )


def _queries(count: int) -> str:
    return f"{count} quer{'y' if count == 1 else 'ies'}"


def _incomplete(result: BenchmarkResult) -> bool:
    """Whether some runs have no result yet at one of the listed numbers of queries."""
    at = result.to_json(curves=False)["at"]
    return any(statistics["held_share"] < 1 for statistics in at.values())


def _share(result: BenchmarkResult, statistics: dict[str, Any]) -> str:
    """How many runs a mean is over, if not all."""
    count = round(statistics["held_share"] * result.repeats)
    return f" ({count} of {result.repeats} runs)" if 0 < count < result.repeats else ""


def _reasons(result: BenchmarkResult) -> list[str]:
    """Why runs ended, unless all spent their queries."""
    spent = "all queries were spent"
    if set(result.stopped) <= {spent}:
        return []
    runs = result.repeats
    return [
        f"{result.strategy}: {count} of {runs} run{'' if runs == 1 else 's'} ended because {why}"
        for why, count in result.stopped.items()
        if why != spent
    ]


def _table(columns: Sequence[str], left: int) -> Table:
    """A table whose first ``left`` columns are text and the others numbers."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for place, name in enumerate(columns):
        # The first may wrap, since it can also say how many runs a row is over.
        side: Literal["left", "right"] = "left" if place < left else "right"
        table.add_column(name, justify=side, no_wrap=place > 0)
    return table


def _columns(result: BenchmarkResult) -> list[str]:
    volume = ["hypervolume"] if result.volume is not None else []
    same = result.report == result.select
    report = [] if same else [metric_name(result.report)]
    return [metric_name(result.select), *report, "at the optimum", *volume]


def _cells(result: BenchmarkResult, statistics: dict[str, Any]) -> list[str]:
    """The cells of :func:`_columns`, from the statistics after some query."""
    empty = "none keeps the limits" if result.limits else "no full evaluation yet"
    values = [_mean_and_error(statistics, "valid", empty)]
    if result.report != result.select:
        values.append(_mean_and_error(statistics, "test", empty))
    values.append(f"{statistics['optimum_share']:.1%}")
    if result.volume is not None:
        values.append(f"{statistics['hypervolume_mean']:.1%}")
    return values


def _mean_and_error(statistics: dict[str, Any], name: str, empty: str) -> str:
    """Mean and standard error; ``empty`` if there is no value."""
    mean, error = statistics[f"{name}_mean"], statistics[f"{name}_sem"]
    if mean is None:
        return empty
    return _figure(mean) if error is None else f"{_figure(mean)} ± {_figure(error, mean)}"


def _figure(value: float, like: float | None = None) -> str:
    """Three decimals for values such as percentages, significant digits for small or large ones."""
    size = abs(value if like is None else like)
    return f"{value:.3f}" if 1 <= size < 10_000 else f"{value:.4g}"


def _by_queries(result: BenchmarkResult) -> Table:
    table = _table([result.strategy, *_columns(result), "simulated time"], 0)
    for query, statistics in result.to_json(curves=False)["at"].items():
        name = _queries(int(query)) + _share(result, statistics)
        time = short(statistics["simulated_seconds"])
        table.add_row(name, *_cells(result, statistics), time)
    return table


def _by_strategy(results: Sequence[BenchmarkResult], width: int) -> Table:
    times = ["simulated time", "time a trial"] if width >= _WIDE else []
    table = _table(["strategy", *_columns(results[0]), *times], 1)
    for result in results:
        statistics = result.to_json(curves=False)["at"][str(result.queries)]
        cells = [
            short(statistics["simulated_seconds"]),
            f"{1000 * result.seconds_per_trial:.2f} ms",
        ]
        name = result.strategy + _share(result, statistics)
        table.add_row(name, *_cells(result, statistics), *cells[: len(times)])
    return table


def _over_queries(results: Sequence[BenchmarkResult], width: int) -> Table:
    """The reported metric and the share at the optimum at several numbers of queries."""
    name = f"{metric_name(results[0].report)} after"
    rows = [result.to_json(curves=False)["at"] for result in results]
    first = max(len(text) for text in [name, *(result.strategy for result in results)])
    shown = list(rows[0])[-max(1, (width - first) // _CELL) :]
    table = _table([name, *(_queries(int(query)) for query in shown)], 1)
    for result, at in zip(results, rows, strict=True):
        cells = []
        for query in shown:
            mean = at[query]["test_mean"]
            value = "—" if mean is None else _figure(mean)
            cells.append(f"{value} ({at[query]['optimum_share']:.0%})")
        table.add_row(result.strategy, *cells)
    return table
