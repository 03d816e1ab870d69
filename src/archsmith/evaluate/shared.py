"""Evaluation with the weights of a trained supernet: seconds instead of minutes, and only as
reliable as the supernet's ranking, which the trust report measures."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from .._support.trees import Tree, move
from ..data.partition import subset
from ..history.trial import Fidelity
from ..space.architecture import Architecture
from ..supernet.recalibrate import recalibrate
from ..supernet.supernet import Supernet
from ..task import task as find_task
from ..task.base import Data, ReadOptions, Task
from ..train import score
from .base import Evaluator, Price, TrialFailed, Watch
from .reading import carried, digest_of, read_again

if TYPE_CHECKING:
    from ..space import Space

#: Training examples that statistics of normalisation are computed from.
CALIBRATION = 1024
_BATCH = 128


class SharedWeightsEvaluator(Evaluator):
    """Validation metrics of a subnet with shared weights, after BatchNorm recalibration.

    It is sent to workers without weights and data, which each worker reads when they are first
    used.

    Args:
        space: of the supernet.
        file: a file that ``Supernet.save`` wrote.
        source, options, task: the data, as for :class:`~.training.TrainingEvaluator`.
        device: torch device.
        calibration: number of training examples for the statistics of normalisation; 0 keeps the
            statistics from training.
        supernet, data: objects that have been opened already, for this process.
    """

    name = "shared-weights"
    price = Price.TRAINED

    def __init__(
        self,
        space: Space,
        file: str | Path,
        source: str,
        options: ReadOptions,
        task: str | Task,
        device: str = "cpu",
        calibration: int = CALIBRATION,
        supernet: Supernet | None = None,
        data: Data | None = None,
    ) -> None:
        self.space, self.file, self.device = space, str(file), device
        self.source, self.options, self.task_name = source, options, task
        self.calibration = calibration
        self._supernet, self._data, self._digest = supernet, data, ""

    def __getstate__(self) -> dict[str, Any]:
        digest = digest_of(self._data, self._digest)
        return self.__dict__ | {
            "_supernet": None,
            "_data": carried(self._data, self.source),
            "_digest": digest,
        }

    @property
    def task(self) -> Task:
        return find_task(self.task_name)

    @property
    def provides(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*(m.name for m in self.task.metrics), "loss"]))

    @property
    def supernet(self) -> Supernet:
        """The weights, read when first used."""
        if self._supernet is None:
            self._supernet = Supernet.load(self.file, self.space, device=self.device)
        return self._supernet

    @property
    def data(self) -> Data:
        """The data, read when first used."""
        if self._data is None:
            self._data = read_again(self.task, self.source, self.options, self._digest)
        return self._data

    def take(self, supernet: Supernet) -> None:
        """Evaluate with these weights in this process."""
        self._supernet = supernet

    def evaluate(
        self, architecture: Architecture, fidelity: Fidelity, seed: int, watch: Watch
    ) -> dict[str, float]:
        metrics = self.judge(architecture, self.calibration)
        if not math.isfinite(metrics["loss"]):
            raise TrialFailed(f"validation loss {metrics['loss']:g} with shared weights", metrics)
        return {name: metrics[name] for name in self.provides}

    def judge(self, architecture: Architecture, calibration: int) -> dict[str, float]:
        """Validation metrics, with normalisation statistics from this many training examples."""
        with torch.no_grad():  # shared weights need no graph
            model = self.supernet.subnet(architecture, own_buffers=True)
        if calibration:
            recalibrate(model, self._batches(calibration))
        data = self.data
        return score(model, self.task, data.validation, data.facts, device=self.device)

    def _batches(self, count: int) -> Iterator[Tree]:
        """The same training examples for every architecture, with classes in proportion."""
        train, facts = self.data.train, self.data.facts
        share = min(1.0, count / len(train))
        kept = torch.from_numpy(subset(train.strata(), share, 0))
        order = torch.randperm(len(kept), generator=torch.Generator().manual_seed(0))
        chunks = torch.split(kept[order], _BATCH)
        usable = [chunk for chunk in chunks if len(chunk) > 1 or len(kept) == 1]
        for inputs, _ in train.batches(usable):
            yield self.task.prepare(move(inputs, self.device), facts)
