"""HW-GPT-Bench (Sukthanker et al. 2024, arXiv:2405.10299): GPT-like decoders and their costs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .._support.errors import InputError
from ..history.objective import Metric, Objective
from ..space import Space
from ..space.listed import ListedSpace
from ..zoo.gpt import SCALES, VOCABULARY, from_arch, gpt
from .base import BenchmarkTable, TableReader, relative
from .columns import need, numbers, pick, read_columns, refuse_twice
from .parsing import json_values, parsed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .columns import Columns

_NEEDED = ("perplexity", "token_accuracy", "params", "macs")
_COSTS = {"lat_ms_": "ms", "energy_kwh_": "kWh"}


class HWGPT(TableReader):
    """Reads ``arch`` (JSON ``[embed, layers, heads, mlp ratios, bias]``), ``scale`` (the data
    sets), ``perplexity`` and ``token_accuracy`` with the weights of the benchmark's supernet,
    ``params``, ``macs``, and the available columns ``lat_ms_DEVICE`` and ``energy_kwh_GPU``.

    Recorded parameters are exactly those of the built networks; MACs are those of all linear
    layers on 8, 4 and 1 times 1,024 tokens for the scales s, m and l, without attention's own.
    """

    name = "hwgpt"
    file = "hw_gpt_bench.parquet"
    about = "HW-GPT-Bench: 15,674 GPT decoders of 3 scales, 13 devices (arXiv:2405.10299)"

    def datasets(self, path: Path) -> list[str]:
        return _datasets(path, read_columns(path))

    def read(self, path: Path, dataset: str) -> BenchmarkTable:
        columns = read_columns(path)
        pick(f"scale of {path.name}", dataset, _datasets(path, columns))
        need(path, columns, ["arch", *_NEEDED])
        mask = columns["scale"] == dataset
        texts = [text if one else "[]" for text, one in zip(columns["arch"], mask, strict=True)]
        archs = json_values(path, "arch", texts, list)
        rows = [int(row) for row in np.flatnonzero(mask)]
        architectures = parsed(
            path,
            [(row, archs[row]) for row in rows],
            lambda arch: from_arch(arch, dataset),
            "arch is [embed, layers, heads of each layer, MLP ratio of each layer, bias]",
        )
        keys = [text if one else row for row, (text, one) in enumerate(zip(texts, mask))]
        refuse_twice(path, "arch", keys)
        values = _values(path, columns, mask)
        space = Space(gpt, vocabulary=VOCABULARY, **SCALES[dataset])
        note = (
            f"{len(rows):,} recorded decoders, few of the space; perplexity is with weights "
            "shared in a supernet; simulated time is proportional to MACs"
        )
        return BenchmarkTable(
            self.name,
            dataset,
            ListedSpace(space, architectures, note),
            architectures,
            {name: _metric(name) for name in values},
            values,
            select=Objective("perplexity", "minimize"),
            report="perplexity",
            seconds=relative(f"{path}, macs", values["macs"]),
            note=note,
        )


def _datasets(path: Path, columns: Columns) -> list[str]:
    need(path, columns, ["scale"])
    scales = [scale for scale in SCALES if (columns["scale"] == scale).any()]
    if not scales:
        got = ", ".join(sorted(set(map(str, columns["scale"])))[:5]) or "no rows"
        raise InputError(f"{path}, column scale", f"rows of scale {', '.join(SCALES)}", got)
    return scales


def _values(
    path: Path, columns: Columns, mask: NDArray[np.bool_]
) -> dict[str, NDArray[np.float64]]:
    """The scale's metrics. Columns of devices without values for this scale are left out."""
    values = {}
    for name, column in columns.items():
        cost = name.startswith(tuple(_COSTS))
        if not cost and name not in _NEEDED:
            continue
        if cost and column.dtype.kind == "f" and np.isnan(column[mask]).all():
            continue
        # Other scales may lack values of this one; row numbers in errors are those of the file.
        own = {name: np.where(mask, column, 0.0)}
        values[name] = numbers(path, own, name)[mask]
    return values


def _metric(name: str) -> Metric:
    unit = next((unit for start, unit in _COSTS.items() if name.startswith(start)), "")
    return Metric(name, unit, "maximize" if name == "token_accuracy" else "minimize")
