"""TransNAS-Bench-101 (Duan et al. 2021, arXiv:2105.11871): the part recorded with zero-cost proxies
(Krishnakumar et al. 2022, arXiv:2210.03230)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..history.objective import Objective
from ..space import Architecture, Space
from ..space.listed import ListedSpace
from ..zoo import transnas
from ..zoo.nasbench201 import edge_names
from .base import BenchmarkTable, TableReader, relative
from .columns import pick, read_columns
from .rows import Rows, metrics, whole_numbers

#: Classes of the classification tasks; for others the network is built for ten.
_CLASSES = {"class_scene": 63, "class_object": 100, "segmentsemantic": 17}
#: Tasks whose ``val_accuracy`` is the structural similarity of images.
_SSIM = ("autoencoder", "normal")
_TIMES = "_time_s"  # of the proxies' own measurement


class _Transnas(TableReader):
    """Reads ``space``, ``dataset`` (the task), ``arch``, ``val_accuracy``, and ``params`` and
    ``flops`` in millions; other numeric columns, the proxies, are metrics."""

    file = "tnb101_zc.parquet"
    #: The value of ``space`` in its rows.
    kind: ClassVar[str]
    builder: ClassVar[Callable[..., Any]]
    #: How many architectures there are, and their notation.
    whole: ClassVar[int]
    notation: ClassVar[str]

    def decode(self, text: str) -> Architecture:
        raise NotImplementedError

    def datasets(self, path: Path) -> list[str]:
        return Rows(path, read_columns(path), space=self.kind).distinct("dataset")

    def read(self, path: Path, dataset: str) -> BenchmarkTable:
        columns = read_columns(path)
        tasks = Rows(path, columns, space=self.kind).distinct("dataset")
        pick(f"task of {self.name}", dataset, tasks)
        rows = Rows(path, columns, space=self.kind, dataset=dataset)
        architectures = rows.architectures("arch", self.decode, self.notation)
        quality = "ssim" if dataset in _SSIM else "accuracy"
        flops = 2e6 * rows.numbers("flops")
        values = {
            quality: rows.numbers("val_accuracy"),
            "params": np.round(1e6 * rows.numbers("params")),
            "flops": flops,
        }
        taken = (*values, "val_accuracy")
        values |= rows.others(taken, ending=_TIMES)
        recorded = f"{len(architectures):,} of {self.whole:,} architectures are recorded"
        space = Space(type(self).builder, channels=3, classes=_CLASSES.get(dataset, 10))
        if len(architectures) < self.whole:
            space = ListedSpace(space, architectures, recorded)
        return BenchmarkTable(
            self.name,
            dataset,
            space,
            architectures,
            metrics(values, "params", "flops"),
            values,
            select=Objective(quality, "maximize"),
            report=quality,
            seconds=relative(f"{path}, flops", flops),
            note=f"{recorded}; {_note(dataset, quality)}",
            left_out=rows.left_out(taken, ending=_TIMES),
        )


class TransnasMicro(_Transnas):
    """The cells."""

    name = "tnb101-micro"
    about = "TransNAS-Bench-101, cells on vision tasks, a part of 4,096 (arXiv:2105.11871)"
    kind = "tnb101_micro"
    builder = staticmethod(transnas.transnas_micro)
    whole = len(transnas.OPS) ** len(edge_names())
    notation = "arch has a digit from 0 to 3 for each of six edges, as (3, 0, 2, 3, 0, 1)"

    def decode(self, text: str) -> Architecture:
        return transnas.from_micro(whole_numbers(text))


class TransnasMacro(_Transnas):
    """The networks of residual blocks."""

    name = "tnb101-macro"
    about = "TransNAS-Bench-101, networks on vision tasks, a part of 3,256 (arXiv:2105.11871)"
    kind = "tnb101_macro"
    builder = staticmethod(transnas.transnas_macro)
    whole = 3256
    notation = "arch has a digit from 1 to 4 for each of 4 to 6 modules, padded with 0 to six"

    def decode(self, text: str) -> Architecture:
        digits = list(whole_numbers(text))
        while digits and digits[-1] == 0:
            digits.pop()
        return transnas.from_macro(digits)


def _note(dataset: str, quality: str) -> str:
    parts = [
        f"{quality} is the validation {quality}, which is also reported, since no test {quality} "
        "was recorded",
        "flops are twice the recorded multiply-adds, which count normalisation too, on 256x256 "
        "pixels",
        "simulated time is proportional to flops",
    ]
    if dataset not in ("class_scene", "class_object"):
        parts.append("params and flops include the task's decoder, which the space does not build")
    return "; ".join(parts)
