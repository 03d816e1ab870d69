"""Results as text for a terminal or a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from ..history.numbers import metric_name, short
from .result import BenchmarkResult, held

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

_WIDE = 110  # characters from which there is room for times
_CELL = 16  # characters of a column of means with shares


def summary(results: Sequence[BenchmarkResult], width: int = 240) -> Group:
    """Of one strategy what it holds at several numbers of queries; of several a comparison.

    Args:
        width: characters in a line; where it is narrow the less important columns are left out.
    """
    from rich.console import Group
    from rich.text import Text

    parts: list[Any] = [Text(_heading(results[0]), style="bold")]
    if results[0].note:
        parts.append(Text(f"note: {results[0].note}", style="dim"))
    if results[0].time_unit != "s":
        parts.append(Text(f"simulated time is in {results[0].time_unit}", style="dim"))
    if any(_partly(result) for result in results):
        parts.append(Text(f"means are over the runs that hold {held(results[0])}", style="dim"))
    parts += [Text(r.says, style="dim") for r in results if r.says not in ("", r.strategy)]
    if len(results) == 1:
        parts.append(_by_queries(results[0]))
    else:
        parts += [_by_strategy(results, width), _over_queries(results, width)]
    for result in results:
        parts += [Text(line, style="dim") for line in _ends(result)]
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


def _partly(result: BenchmarkResult) -> bool:
    """Whether some runs hold nothing at a query of the table."""
    at = result.to_json(curves=False)["at"]
    return any(found["held_share"] < 1 for found in at.values())


def _share(result: BenchmarkResult, found: dict[str, Any]) -> str:
    """How many runs a mean is over, where they are some of them."""
    count = round(found["held_share"] * result.repeats)
    return f" ({count} of {result.repeats} runs)" if 0 < count < result.repeats else ""


def _ends(result: BenchmarkResult) -> list[str]:
    """Why runs ended, where not all spent their queries."""
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
    """A table whose first columns are text and the others numbers."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for place, name in enumerate(columns):
        # The first may give way, since it also tells of how many runs a row is.
        side: Literal["left", "right"] = "left" if place < left else "right"
        table.add_column(name, justify=side, no_wrap=place > 0)
    return table


def _columns(result: BenchmarkResult) -> list[str]:
    volume = ["hypervolume"] if result.volume is not None else []
    same = result.report == result.select
    report = [] if same else [metric_name(result.report)]
    return [metric_name(result.select), *report, "at the optimum", *volume]


def _cells(result: BenchmarkResult, found: dict[str, Any]) -> list[str]:
    """What belongs under :func:`_columns`, from a summary after some query."""
    none = "none keeps the limits" if result.limits else "none in full yet"
    values = [_spread(found, "valid", none)]
    if result.report != result.select:
        values.append(_spread(found, "test", none))
    values.append(f"{found['optimum_share']:.1%}")
    if result.volume is not None:
        values.append(f"{found['hypervolume_mean']:.1%}")
    return values


def _spread(found: dict[str, Any], name: str, none: str) -> str:
    """Mean and standard error; ``none`` where there are none."""
    mean, error = found[f"{name}_mean"], found[f"{name}_sem"]
    if mean is None:
        return none
    return _figure(mean) if error is None else f"{_figure(mean)} ± {_figure(error, mean)}"


def _figure(value: float, like: float | None = None) -> str:
    """Three decimals for percents and the like, significant digits for what is small or large."""
    size = abs(value if like is None else like)
    return f"{value:.3f}" if 1 <= size < 10_000 else f"{value:.4g}"


def _by_queries(result: BenchmarkResult) -> Table:
    table = _table([result.strategy, *_columns(result), "simulated time"], 0)
    for query, found in result.to_json(curves=False)["at"].items():
        name = _queries(int(query)) + _share(result, found)
        time = short(found["simulated_seconds"])
        table.add_row(name, *_cells(result, found), time)
    return table


def _by_strategy(results: Sequence[BenchmarkResult], width: int) -> Table:
    times = ["simulated time", "time a trial"] if width >= _WIDE else []
    table = _table(["strategy", *_columns(results[0]), *times], 1)
    for result in results:
        found = result.to_json(curves=False)["at"][str(result.queries)]
        cells = [short(found["simulated_seconds"]), f"{1000 * result.seconds_per_trial:.2f} ms"]
        name = result.strategy + _share(result, found)
        table.add_row(name, *_cells(result, found), *cells[: len(times)])
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
