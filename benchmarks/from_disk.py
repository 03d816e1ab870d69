"""A search whose pictures stay on disk: how much memory it takes, and how fast it is.

    python benchmarks/from_disk.py [--pictures 50000] [--trials 4] [--workers 1] [--json FILE]

Needs ``ARCHSMITH_DATA``. The JPEG files of CIFAR-10 are written into class folders, as people keep
them. A search reads them through a plain ``torch.utils.data.Dataset`` (``nas.DatasetSplit``), with
a loss and a metric of its own; beside it the same search has all pictures in memory
(``nas.TensorSplit``). Told are the resident memory of the process and its readers before the
search, at its peak and at the end of each trial, and the seconds of an epoch.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

import archsmith as nas


class Folder(Dataset[tuple[Tensor, int]]):
    """Pictures in class folders, decoded when they are asked for."""

    def __init__(self, root: Path) -> None:
        self.paths = sorted(root.glob("*/*.jpg"))
        names = sorted({path.parent.name for path in self.paths})
        self.targets = [names.index(path.parent.name) for path in self.paths]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, place: int) -> tuple[Tensor, int]:
        with Image.open(self.paths[place]) as image:
            pixels = torch.from_numpy(np.asarray(image.convert("RGB")).copy())
        return pixels.permute(2, 0, 1).float() / 255, self.targets[place]


def net(channels: int, classes: int) -> nn.Module:
    width = nas.choose("width", [8, 12, 16])
    act = nas.one_of("act", {"relu": nn.ReLU, "silu": nn.SiLU})
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, stride=2, padding=1),
        nn.BatchNorm2d(width),
        act,
        nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
        nn.BatchNorm2d(2 * width),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(2 * width, classes),
    )


def write_pictures(root: Path, count: int) -> None:
    """The files as they are packed, into a folder for each class."""
    with np.load(Path(os.environ["ARCHSMITH_DATA"]) / "cifar10_jpeg.npz") as packed:
        label, data, offsets = (packed[f"train_{n}"] for n in ("label", "jpeg", "offsets"))
    for place in range(count):
        folder = root / f"class{label[place]}"
        folder.mkdir(exist_ok=True)
        picture = data[offsets[place] : offsets[place + 1]].tobytes()
        (folder / f"{place:05d}.jpg").write_bytes(picture)


class Memory:
    """Megabytes that this process and its children have resident, looked at ten times a second."""

    def __init__(self) -> None:
        self.peak, self._over = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def now(self) -> float:
        own = psutil.Process()
        total = 0
        for process in (own, *own.children(recursive=True)):
            try:
                total += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return total / 1e6

    def _look(self) -> None:
        while not self._over.wait(0.1):
            self.peak = max(self.peak, self.now())


def measured(data: Any, options: argparse.Namespace) -> dict[str, Any]:
    """One search, with its memory."""
    at_trials: list[float] = []
    with Memory() as memory:
        before, began = memory.now(), time.perf_counter()

        def note(event: Any) -> None:
            if event.kind == "ended":
                at_trials.append(memory.now())

        found = nas.search(
            net,
            data,
            loss=F.cross_entropy,
            metrics={"accuracy": lambda outputs, targets: (outputs.argmax(1) == targets).float()},
            trials=options.trials,
            epochs=1,
            finalists=0,
            listener=nas.Listener(event=note),
        )
        seconds = time.perf_counter() - began
    best = found.history.best()
    assert best is not None
    return {
        "before_mb": before,
        "peak_mb": memory.peak,
        "trials_mb": at_trials,
        "seconds_a_trial": seconds / options.trials,
        "accuracy": best.metrics["accuracy"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pictures", type=int, default=50_000)
    parser.add_argument("--trials", type=int, default=4)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        write_pictures(Path(folder), options.pictures)
        dataset = Folder(Path(folder))
        rows["on disk"] = measured(nas.DatasetSplit(dataset, workers=options.workers), options)
        pixels = torch.stack([dataset[place][0] for place in range(len(dataset))])
        rows["in memory"] = measured((pixels, torch.tensor(dataset.targets)), options)
    if options.json:
        document = {"machine": platform.platform(), "options": vars(options), "rows": rows}
        options.json.write_text(json.dumps(document, indent=1, default=str), encoding="utf-8")
    print("| pictures | before, MB | peak, MB | after each trial, MB | s a trial | accuracy |")
    print("|---|---|---|---|---|---|")
    for name, row in rows.items():
        each = ", ".join(f"{value:,.0f}" for value in row["trials_mb"])
        print(
            f"| {name} | {row['before_mb']:,.0f} | {row['peak_mb']:,.0f} | {each} "
            f"| {row['seconds_a_trial']:.1f} | {row['accuracy']:.3f} |"
        )


if __name__ == "__main__":
    main()
