"""NAS-Bench-Macro (Su et al. 2021, arXiv:2103.11922) and the ResNet of Channel-Bench-Macro
(Zheng et al. 2023, arXiv:2304.10970): complete tables on CIFAR-10, both in one file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from ..history.objective import Objective
from ..space import Architecture, Space
from ..space.listed import ListedSpace
from ..zoo import channel_bench as channel
from ..zoo import nasbench_macro as macro
from .base import BenchmarkTable, TableReader, relative
from .columns import pick, read_columns
from .rows import Rows, metrics

_DATASETS = ["cifar10"]
_NOTE = (
    "accuracy is the mean test accuracy of three trainings: the benchmark records no validation "
    "accuracy, so the search uses the reported metric; flops are twice the recorded "
    "multiplications; simulated time is proportional to flops"
)


class _Bench(TableReader):
    """Reads ``bench``, ``arch``, ``mean_acc``, ``params`` and ``flops``."""

    file = "macro_benches.parquet"
    #: The value of ``bench`` in its rows.
    bench: ClassVar[str]
    builder: ClassVar[Callable[..., Any]]
    #: How many architectures there are, and their notation.
    whole: ClassVar[int]
    notation: ClassVar[str]

    def decode(self, text: str) -> Architecture:
        raise NotImplementedError

    def datasets(self, path: Path) -> list[str]:
        Rows(path, read_columns(path), bench=self.bench)
        return list(_DATASETS)

    def read(self, path: Path, dataset: str) -> BenchmarkTable:
        rows = Rows(path, read_columns(path), bench=self.bench)
        pick(f"data set of {self.name}", dataset, _DATASETS)
        architectures = rows.architectures("arch", self.decode, self.notation)
        flops = 2 * rows.numbers("flops")
        values = {
            "accuracy": rows.numbers("mean_acc"),
            "params": rows.numbers("params"),
            "flops": flops,
        }
        space, note = Space(type(self).builder, channels=3, classes=10), _NOTE
        if len(architectures) < self.whole:
            missing = f"{len(architectures):,} of {self.whole:,} architectures are recorded"
            space, note = ListedSpace(space, architectures, missing), f"{missing}; {note}"
        return BenchmarkTable(
            self.name,
            dataset,
            space,
            architectures,
            metrics(values, "params", "flops"),
            values,
            select=Objective("accuracy", "maximize"),
            report="accuracy",
            seconds=relative(f"{path}, flops", flops),
            note=note,
        )


class NBMacro(_Bench):
    """NAS-Bench-Macro."""

    name = "nbmacro"
    about = "NAS-Bench-Macro: 6,561 mobile networks on CIFAR-10 (arXiv:2103.11922)"
    bench = "nas_bench_macro_cifar10"
    builder = staticmethod(macro.nasbench_macro)
    whole = len(macro.BLOCKS) ** len(macro.LAYERS)
    notation = "arch has a digit for each of eight layers: 0 identity, 1 mb3_k3, 2 mb6_k5"

    def decode(self, text: str) -> Architecture:
        return macro.from_digits(text)


class ChannelBench(_Bench):
    """The ResNet of Channel-Bench-Macro."""

    name = "channelbench"
    about = (
        "Channel-Bench-Macro ResNet: 16,384 choices of seven widths, CIFAR-10 (arXiv:2304.10970)"
    )
    bench = "channel_bench_resnet_cifar10"
    builder = staticmethod(channel.channel_bench)
    whole = 4 ** len(channel.WIDTHS)
    notation = "arch has a digit from 1 to 4 for each of seven widths, in steps of 64 or 128"

    def decode(self, text: str) -> Architecture:
        return channel.from_digits(text)
