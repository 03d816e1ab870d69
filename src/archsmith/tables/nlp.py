"""NAS-Bench-NLP (Klyuchnikov et al. 2020, arXiv:2006.07116): recurrent cells on WikiText-2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._support.errors import InputError
from ..history.objective import Metric, Objective
from ..space import Architecture, Space
from ..space.listed import ListedSpace
from ..zoo.cell_graph import Cell, from_recipe
from ..zoo.rnn_cells import from_cell, rnn_cells
from .base import BenchmarkTable, TableReader
from .columns import need, numbers, pick, read_columns
from .parsing import json_values, parsed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .columns import Columns

    Values = NDArray[np.float64]

_DATASET = "wikitext2"
_TOKENS = 33_278  # of WikiText-2
_CURVES = ("train_losses", "val_losses", "test_losses", "wall_times")
#: Lower fidelities: rank correlation with the last epoch 0.86 and 0.94 over the recorded runs.
_EARLY = (3, 10)
_METRICS = {
    m.name: m
    for m in (
        Metric("valid_perplexity", "", "minimize"),
        Metric("test_perplexity", "", "minimize"),
        Metric("train_perplexity", "", "minimize"),
        Metric("params", "", "minimize"),
        Metric("wall_s", "s", "minimize"),
    )
}


@dataclass(frozen=True)
class _Run:
    """One recorded training: losses and seconds of each epoch, (epochs,) each."""

    train: Values
    valid: Values
    test: Values
    wall: Values
    params: float

    def at(self, epochs: int) -> tuple[float, float, float]:
        """Valid, test and train loss of the best epoch so far by validation."""
        best = int(self.valid[:epochs].argmin())
        return float(self.valid[best]), float(self.test[best]), float(self.train[best])


class NASBenchNLP(TableReader):
    """Reads ``recepie`` (JSON, the cell), ``num_params`` and, as JSON lists with a number for each
    epoch, ``train_losses``, ``val_losses``, ``test_losses`` and ``wall_times`` (seconds).

    Perplexities are of the best epoch by validation up to the fidelity. Runs of the same cell, up
    to isomorphism of the part that reaches the output, are averaged (in log-perplexity). Runs that
    diverged or stopped early are left out, and so are cells without any other run. ``params`` is
    the smallest number recorded for a cell: a few recorded cells have unused nodes, which the
    recorded number includes and the built network does not have.
    """

    name = "nlp"
    file = "nas_bench_nlp_wikitext2.parquet"
    about = "NAS-Bench-NLP: recurrent cells on WikiText-2, losses by epoch (arXiv:2006.07116)"

    def datasets(self, path: Path) -> list[str]:
        need(path, read_columns(path), ["recepie"])
        return [_DATASET]

    def read(self, path: Path, dataset: str) -> BenchmarkTable:
        columns = read_columns(path)
        pick(f"data set of {path.name}", dataset, [_DATASET])
        need(path, columns, ["recepie", "num_params", *_CURVES])
        recipes = json_values(path, "recepie", columns["recepie"], dict)
        cells = parsed(
            path,
            enumerate(recipes),
            from_recipe,
            "recepie maps a node's name to its op and its input, as in NAS-Bench-NLP",
        )
        runs = _runs(path, columns)
        epochs = max(len(run.valid) for run in runs)
        whole = [row for row, run in enumerate(runs) if _finished(run, epochs)]
        grouped = _group_runs(cells, runs, whole)
        if not grouped:
            raise InputError(str(path), "runs without NaN", f"none of {len(runs)}")
        return self._table(grouped, len(runs), len(whole), epochs)

    def _table(
        self, grouped: Mapping[Architecture, list[_Run]], recorded: int, whole: int, epochs: int
    ) -> BenchmarkTable:
        architectures = list(grouped)
        fidelities = (*(early for early in _EARLY if early < epochs), epochs)
        by_epoch = {at: _perplexities(list(grouped.values()), at) for at in fidelities}
        values = by_epoch.pop(epochs)
        values["params"] = np.array([min(r.params for r in runs) for runs in grouped.values()])
        wall = [float(np.mean([r.wall.sum() for r in runs])) for runs in grouped.values()]
        values["wall_s"] = np.array(wall)
        note = (
            f"{len(architectures)} recorded cells, of {recorded} runs: runs of isomorphic cells "
            f"are averaged, {recorded - whole} runs that diverged or stopped early are left out; "
            "seconds are the recorded wall times"
        )
        space = ListedSpace(Space(rnn_cells, vocabulary=_TOKENS), architectures, note)
        return BenchmarkTable(
            self.name,
            _DATASET,
            space,
            architectures,
            _METRICS,
            values,
            select=Objective("valid_perplexity", "minimize"),
            report="test_perplexity",
            epochs=fidelities if by_epoch else (),
            early=by_epoch,
            seconds=values["wall_s"],
            time_unit="s",
            note=note,
        )


def _runs(path: Path, columns: Columns) -> list[_Run]:
    curves = [json_values(path, name, columns[name], list) for name in _CURVES]
    runs = []
    params = numbers(path, columns, "num_params")
    for row, lists in enumerate(zip(*curves, strict=True)):
        if len({len(one) for one in lists}) > 1 or not lists[0]:
            got = ", ".join(str(len(one)) for one in lists)
            raise InputError(f"{path}, row {row}", f"as many epochs in {', '.join(_CURVES)}", got)
        train, valid, test, wall = (_floats(path, row, one) for one in lists)
        runs.append(_Run(train, valid, test, wall, float(params[row])))
    return runs


def _floats(path: Path, row: int, values: Sequence[Any]) -> Values:
    try:
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        expected = f"numbers in {', '.join(_CURVES)}"
        raise InputError(f"{path}, row {row}", expected, repr(values)[:60]) from None


def _finished(run: _Run, epochs: int) -> bool:
    curves = (run.train, run.valid, run.test, run.wall)
    return len(run.valid) == epochs and all(np.isfinite(curve).all() for curve in curves)


def _group_runs(
    cells: Sequence[Cell], runs: Sequence[_Run], rows: Sequence[int]
) -> dict[Architecture, list[_Run]]:
    """Runs by cell, each cell in its first spelling."""
    spelled: dict[str, Architecture] = {}
    grouped: dict[Architecture, list[_Run]] = {}
    for row in rows:
        form = cells[row].canonical()
        if form not in spelled:
            spelled[form] = from_cell(cells[row])
        grouped.setdefault(spelled[form], []).append(runs[row])
    return grouped


def _perplexities(groups: Sequence[Sequence[_Run]], epochs: int) -> dict[str, Values]:
    losses = np.array([np.mean([run.at(epochs) for run in runs], axis=0) for runs in groups])
    names = ("valid_perplexity", "test_perplexity", "train_perplexity")
    return {name: np.exp(losses[:, place]) for place, name in enumerate(names)}
