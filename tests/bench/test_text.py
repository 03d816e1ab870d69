"""Results as text: nothing is cut off, whatever the width."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from archsmith.bench import compare
from archsmith.bench.text import summary
from archsmith.history.objective import Limit, Objective
from bench.small import small_table


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return small_table(tmp_path_factory.mktemp("texts"), 40)


def text(results, width):
    console = Console(file=io.StringIO(), width=width)
    console.print(summary(results, width), highlight=False)
    return console.file.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize("width", [80, 100, 240])
@pytest.mark.parametrize("count", [1, 3])
def test_nothing_is_cut_off(table, width, count):
    names = ["random", "evolution", "local-search"][:count]
    results = compare(table, names, queries=35, repeats=3, processes=1)
    shown = text(results, width)
    assert "…" not in shown
    for result in results:
        assert result.strategy in shown
        assert f"{result.valid[:, -1].mean():.3f} ±" in shown
        assert f"{result.optimum[:, -1].mean():.1%}" in shown
    assert "35 queries" in shown
    assert max(map(len, shown.splitlines())) <= width


@pytest.mark.slow
def test_several_objectives_and_a_limit_that_is_not_kept_yet(table):
    least = float(table.values["flops_M"].min())
    results = compare(
        table,
        ["random"],
        queries=2,
        repeats=2,
        processes=1,
        objectives=[Objective("flops_M", "minimize")],
        limits=[Limit("flops_M", "<=", least)],
    )
    shown = text(results, 110)
    assert "none keeps the limits" in shown
    assert "hypervolume" in shown
    assert "…" not in shown


@pytest.mark.slow
@pytest.mark.parametrize("width", [80, 240])
def test_of_how_many_runs_a_mean_is(table, width):
    results = compare(
        table,
        ["random"],
        queries=3,
        repeats=4,
        processes=1,
        limits={"flops_M": float(np.median(table.values["flops_M"]))},
    )
    valid = results[0].valid.copy()
    valid[:3] = np.nan
    shown = text([replace(results[0], valid=valid)], width)
    assert "(1 of 4 runs)" in " ".join(shown.split())
    assert "over the runs that have a result that keeps the limits" in shown
    assert "simulated time is in mean full evaluations" in shown
    assert "…" not in shown


@pytest.mark.slow
def test_one_run_has_no_error(table):
    shown = text(compare(table, ["random"], queries=5, repeats=1, processes=1), 100)
    assert "±" not in shown
    assert "1 run of 5 queries" in shown
    shown = text(compare(table, ["random", "grid"], queries=1, repeats=1, processes=1), 100)
    assert "1 queries" not in shown
