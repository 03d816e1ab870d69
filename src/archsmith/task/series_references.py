"""References for series: random convolutions with a linear classifier, and nearest neighbours."""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..data.splits import Split
from .estimators import Estimator
from .references import Fitted, FittedReference

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .base import Task
    from .values import Data

#: Features of :class:`Convolutions`, as in the paper.
_FEATURES, _KERNEL, _MOST_DILATIONS = 10_000, 9, 32
_AT_ONCE = 64


@dataclass(frozen=True)
class _Fitted(FittedReference):
    """Fitted to prepared series (n, channels, length); the validation part is not needed."""

    def fit(
        self,
        task: Task,
        data: Data,
        seed: int,
        seconds: float | None = None,
        last: Split | None = None,
    ) -> Fitted:
        part = last or data.train
        batch = task.prepare_batch(part.head(len(part)), data.facts)
        model, settings = self._fit(as_series(batch.inputs), batch.targets.numpy(), data, seed)
        return Fitted(model, settings)

    @abstractmethod
    def _fit(
        self, series: Tensor, targets: NDArray[Any], data: Data, seed: int
    ) -> tuple[nn.Module, dict[str, float]]:
        """The model and its settings."""


def as_series(inputs: Tensor) -> Tensor:
    """Prepared inputs as (n, channels, length); of a picture (n, 1, rows, columns) the rows."""
    return inputs.flatten(1, 2) if inputs.dim() == 4 else inputs


class Convolutions(nn.Module):
    """Series to the shares of positions at which random convolutions exceed a threshold.

    Like MiniRocket (Dempster et al. 2021, arXiv:2012.08791): all 84 kernels of nine weights of
    which three are 2 and the others -1, dilations up to the length of the series, and thresholds
    that are quantiles of the outputs for random training series. Each kernel and dilation reads
    up to nine random channels. All convolutions are padded; in the paper every second one is.
    """

    def __init__(self, series: Tensor, seed: int, features: int = _FEATURES) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(seed)
        _, channels, length = series.shape
        kernels = torch.full((84, _KERNEL), -1.0)
        for row, places in enumerate(itertools.combinations(range(_KERNEL), 3)):
            kernels[row, list(places)] = 2.0
        most = max(1, min(_MOST_DILATIONS, features // 84))
        reach = np.log2(max(1, (length - 1) / (_KERNEL - 1)))
        self.dilations = sorted({int(2**e) for e in np.linspace(0, reach, most)})
        share = max(1, features // (84 * len(self.dilations)))
        self.weights, self.thresholds = nn.ParameterList(), nn.ParameterList()
        levels = (torch.arange(84 * share) * 0.618034 % 1).reshape(84, share)
        for dilation in self.dilations:
            counts = torch.randint(1, min(channels, 9) + 1, (84, 1), generator=draw)
            ranks = torch.rand(84, channels, generator=draw).argsort(1).argsort(1)
            weight = kernels[:, None] * (ranks < counts)[..., None]
            chosen = series[torch.randint(len(series), (8,), generator=draw)]
            seen = self._convolved(chosen, weight, dilation).transpose(0, 1).flatten(1)
            rows = [torch.quantile(one, level) for one, level in zip(seen, levels, strict=True)]
            self.weights.append(nn.Parameter(weight, requires_grad=False))
            self.thresholds.append(nn.Parameter(torch.stack(rows), requires_grad=False))

    @staticmethod
    def _convolved(series: Tensor, weight: Tensor, dilation: int) -> Tensor:
        return F.conv1d(series, weight, padding=dilation * (_KERNEL // 2), dilation=dilation)

    def forward(self, series: Tensor) -> Tensor:
        found = []
        for weight, levels, dilation in zip(self.weights, self.thresholds, self.dilations):
            out = self._convolved(series, weight, dilation)
            found += [(out > level[:, None]).float().mean(-1) for level in levels.T]
        return torch.cat(found, dim=1)


def in_chunks(function: Callable[[Tensor], Tensor], series: Tensor) -> NDArray[Any]:
    """A function of series, a few at a time."""
    with torch.no_grad():
        return (
            torch.cat([function(part) for part in torch.split(series, _AT_ONCE)]).double().numpy()
        )


@dataclass(frozen=True)
class RandomConvolutions(_Fitted):
    """Random convolutions and ridge regression of the classes, its penalty by cross-validation."""

    def _fit(
        self, series: Tensor, targets: NDArray[Any], data: Data, seed: int
    ) -> tuple[nn.Module, dict[str, float]]:
        from sklearn.linear_model import RidgeClassifierCV
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        features = Convolutions(series, seed)
        ridge = RidgeClassifierCV(alphas=np.logspace(-3, 3, 10))
        model = make_pipeline(StandardScaler(), ridge).fit(in_chunks(features, series), targets)

        def logits(raw: NDArray[Any]) -> NDArray[Any]:
            found = in_chunks(features, as_series(torch.from_numpy(raw)))
            scores: NDArray[Any] = model.decision_function(found)
            # Scores of the classes are about -1 and 1.
            return 3 * (np.stack([-scores, scores], 1) if scores.ndim == 1 else scores)

        return Estimator(logits), {"penalty": float(ridge.alpha_)}


@dataclass(frozen=True)
class NearestSeries(_Fitted):
    """The class of the training series with the smallest Euclidean distance."""

    def _fit(
        self, series: Tensor, targets: NDArray[Any], data: Data, seed: int
    ) -> tuple[nn.Module, dict[str, float]]:
        from sklearn.neighbors import KNeighborsClassifier

        model = KNeighborsClassifier(1).fit(series.flatten(1).numpy(), targets)

        def logits(raw: NDArray[Any]) -> NDArray[Any]:
            flat = raw.reshape(len(raw), -1)
            chances: NDArray[Any] = model.predict_proba(flat)
            scores: NDArray[Any] = np.log(chances.clip(1e-3))
            return scores

        return Estimator(logits), {}
