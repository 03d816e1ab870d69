"""NAS-Bench-MR (Ding et al. 2021, arXiv:2103.13253): multi-resolution networks on nine tasks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._support.errors import InputError
from ..history.objective import Metric, Objective
from ..space import Space
from ..space.listed import ListedSpace
from ..zoo.hrnet import from_code as read_code
from ..zoo.hrnet import hrnet, to_code
from .base import BenchmarkTable, TableReader, relative
from .columns import identifier, need, numbers, pick, read_columns, refuse_twice
from .parsing import json_values, parsed

if TYPE_CHECKING:
    from .columns import Columns

#: Builder arguments and the metric to select by, for each setting.
_SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "cls-50-1000": ("top1", {"classes": 50}),
    "cls-50-100": ("top1", {"classes": 50}),
    "cls-10-1000": ("top1", {"classes": 10}),
    "cls-10c": ("top1", {"classes": 10}),
    "seg": ("mIoU", {"classes": 19, "dense": True}),
    "seg-4x": ("mIoU", {"classes": 19, "dense": True}),
    "video": ("top1", {"classes": 51}),
    "video-p": ("top1", {"classes": 51}),
}
_COSTS = ("flops_G", "params_M")


class NASBenchMR(TableReader):
    """Reads ``embedding`` (JSON, 27 numbers), ``flops_G``, ``params_M`` and, for each setting,
    ``{setting}/top1`` and ``top5``, or ``mIoU``, ``mAcc`` and ``aAcc``, in percent.

    Settings are ImageNet subsets (classes and images of each; ``c`` for fewer epochs), Cityscapes,
    and HMDB51. ``params_M`` is exactly that of the built network with 50 classes, whatever the
    setting. Only one set was recorded, so the metric to select by is also the one reported.
    """

    name = "mr"
    file = "nas_bench_mr.parquet"
    about = "NAS-Bench-MR: 2,507 multi-resolution networks in 8 settings (arXiv:2103.13253)"

    def datasets(self, path: Path) -> list[str]:
        return _datasets(path, read_columns(path))

    def read(self, path: Path, dataset: str) -> BenchmarkTable:
        columns = read_columns(path)
        pick(f"setting of {path.name}", dataset, _datasets(path, columns))
        need(path, columns, ["embedding", *_COSTS])
        codes = json_values(path, "embedding", columns["embedding"], list)
        architectures = parsed(
            path, enumerate(codes), read_code, "embedding has the 27 numbers of NAS-Bench-MR"
        )
        refuse_twice(path, "embedding", [tuple(to_code(a)) for a in architectures])
        main, arguments = _SETTINGS[dataset]
        own = [name for name in columns if name.startswith(f"{dataset}/")]
        values = {identifier(n.split("/", 1)[1]): numbers(path, columns, n) for n in own}
        metrics = {name: Metric(name, "%", "maximize") for name in values}
        values |= {name: numbers(path, columns, name) for name in _COSTS}
        metrics |= {name: Metric(name, "", "minimize") for name in _COSTS}
        space = Space(hrnet, channels=3, **arguments)
        note = (
            f"{len(codes):,} recorded networks, few of the space; selection and report use the "
            "same set; simulated time is proportional to flops"
        )
        if dataset.startswith("video"):
            note += "; the built network takes single images"
        return BenchmarkTable(
            self.name,
            dataset,
            ListedSpace(space, architectures, note),
            architectures,
            metrics,
            values,
            select=Objective(main, "maximize"),
            report=main,
            seconds=relative(f"{path}, flops_G", values["flops_G"]),
            note=note,
        )


def _datasets(path: Path, columns: Columns) -> list[str]:
    settings = [name for name, (main, _) in _SETTINGS.items() if f"{name}/{main}" in columns]
    if not settings:
        expected = "columns embedding, flops_G, params_M and SETTING/top1 or SETTING/mIoU"
        raise InputError(str(path), expected, ", ".join(sorted(columns)[:20]))
    return settings
