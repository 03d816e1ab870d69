"""Maps that are learned by ranking the correct class before the others (loads torch)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from ..._support.errors import InputError
from .base import ZeroShotClassifier
from .checks import Array, Indices
from .descent import minimise
from .folds import Scorer, Solver
from .scaling import Scale

Kind = Literal["devise", "ale", "sje"]


def ranking_loss(scores: Tensor, labels: Tensor, margin: float, kind: Kind) -> Tensor:
    """Mean over examples of how close other classes come to the correct one.

    With ``h_j = max(0, margin + score_j - score_label)`` over the other classes: ``"devise"`` sums
    them (Frome et al. 2013), ``"sje"`` takes the largest (Akata et al. 2015, arXiv:1409.8403),
    ``"ale"`` takes their mean over those above 0, times ``1 + 1/2 + ... + 1/r`` where there are r
    of them, so that the top of the ranking matters most (Akata et al. 2016, arXiv:1503.08677).

    Args:
        scores: (n, classes).
        labels: (n,).
    """
    right = scores.gather(1, labels[:, None])
    hinge = (margin + scores - right).clamp_min(0).scatter(1, labels[:, None], 0.0)
    if kind == "sje":
        return hinge.amax(dim=1).mean()
    if kind == "devise":
        return hinge.sum(dim=1).mean()
    above = (hinge > 0).sum(dim=1)
    ranks = torch.arange(1, scores.shape[1] + 1, device=scores.device, dtype=scores.dtype)
    weight = torch.cat([ranks.new_zeros(1), (1 / ranks).cumsum(0)])[above]
    return (weight * hinge.sum(dim=1) / above.clamp_min(1)).mean()


class DeViSE(ZeroShotClassifier):
    """Projects features to descriptions; hinge loss against every other class (Frome 2013).

    The score is the dot product of the projection with the description.

    Args:
        decay: penalty on squared weights.
        margin: by which the correct class should win.
        hidden: units of a hidden layer with ReLU; 0 makes the projection linear.
        steps: number of Adam steps.
        rate: highest learning rate.
        batch: examples per step.
    """

    name = "devise"
    grid: ClassVar[Mapping[str, Sequence[float]]] = {"decay": (1e-3, 1e-2, 1e-1)}
    folds = 3
    kind: ClassVar[Kind] = "devise"

    def __init__(
        self,
        decay: float | None = None,
        *,
        margin: float = 1.0,
        hidden: int = 0,
        steps: int = 150,
        rate: float = 0.01,
        batch: int = 256,
        features_scale: Scale = "centre",
        descriptions_scale: Scale = "unit",
        seed: int = 0,
    ) -> None:
        super().__init__(
            features_scale=features_scale,
            descriptions_scale=descriptions_scale,
            seed=seed,
            decay=decay,
        )
        check_descent(self.name, steps, rate, batch, hidden)
        if not margin > 0:
            raise InputError(f"{self.name} margin", "a number above 0", repr(margin))
        self.margin, self.hidden, self.steps = margin, hidden, steps
        self.rate, self.batch = rate, batch

    def prepare(self, features: Array, labels: Indices, descriptions: Array) -> Solver:
        examples, described = _tensor(features), _tensor(descriptions)
        truth = torch.from_numpy(labels)

        def solve(decay: float) -> Scorer:
            with torch.random.fork_rng(devices=[]), torch.enable_grad():
                torch.manual_seed(self.seed)
                model = projection(examples.shape[1], described.shape[1], self.hidden)

                def loss(batch: Tensor) -> Tensor:
                    scores = model(examples[batch]) @ described.T
                    return ranking_loss(scores, truth[batch], self.margin, self.kind)

                minimise(
                    model,
                    loss,
                    len(examples),
                    steps=self.steps,
                    rate=self.rate,
                    decay=decay,
                    batch=self.batch,
                    seed=self.seed,
                )
            return lambda rows, to: applied(model, rows) @ to.T

        return solve


class ALE(DeViSE):
    """The same map with a loss that weighs the top of the ranking most (arXiv:1503.08677)."""

    name = "ale"
    kind = "ale"


class SJE(DeViSE):
    """The same map with the loss of only the worst other class (arXiv:1409.8403)."""

    name = "sje"
    kind = "sje"


def projection(inside: int, outside: int, hidden: int) -> nn.Module:
    """A linear map, or a perceptron with one hidden layer."""
    if not hidden:
        return nn.Linear(inside, outside, bias=False)
    return nn.Sequential(nn.Linear(inside, hidden), nn.ReLU(), nn.Linear(hidden, outside))


def applied(model: nn.Module, rows: Array) -> Array:
    """Outputs of ``model`` on rows, float64."""
    with torch.no_grad():
        out: Array = model(_tensor(rows)).numpy().astype(np.float64)
    return out


def check_descent(name: str, steps: int, rate: float, batch: int, hidden: int) -> None:
    """Check the settings of gradient descent.

    Raises:
        InputError: a number is outside its range.
    """
    rules: dict[str, tuple[Any, bool, str]] = {
        "steps": (steps, steps >= 1, "1 or more"),
        "rate": (rate, 0 < rate < np.inf, "a number above 0"),
        "batch": (batch, batch >= 1, "1 or more"),
        "hidden": (hidden, hidden >= 0, "0 (linear) or more"),
    }
    for option, (value, holds, expected) in rules.items():
        if not holds:
            raise InputError(f"{name} {option}", expected, repr(value))


def _tensor(array: Array) -> Tensor:
    return torch.from_numpy(array.astype(np.float32))
