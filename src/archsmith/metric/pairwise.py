"""Losses over the pairs of a batch: small if embeddings of the same class are close together.

A batch needs at least two examples of some class; classes with one example only act as negatives.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .._support.errors import InputError
from .distances import same_class, squared


class EmbeddingLoss(nn.Module, ABC):
    """Base class: maps embeddings (n, d) and classes (n,) to a scalar.

    Attributes:
        learned: whether it takes ``classes`` and ``dim`` and has parameters for each class.
    """

    learned: ClassVar[bool] = False

    @abstractmethod
    def forward(self, embeddings: Tensor, targets: Tensor) -> Tensor:
        """The loss, a scalar; 0, with zero gradient, if the batch has no pair."""


class Prototypical(EmbeddingLoss):
    """Cross entropy over squared distances to class means (Snell et al. 2017, arXiv:1703.05175).

    Every example of the batch is a query once, and is left out of its own class mean. This uses the
    batch better than a split into support and query, and does not fix the number of shots.
    """

    def forward(self, embeddings: Tensor, targets: Tensor) -> Tensor:
        embeddings = embeddings.float()
        classes, place = torch.unique(targets, return_inverse=True)
        members = F.one_hot(place, len(classes)).to(embeddings)
        counts, own = members.sum(0), torch.arange(len(targets), device=targets.device)
        sums = members.T @ embeddings
        distances = squared(embeddings, sums / counts[:, None])
        # The mean without x is (sum - x) / (count - 1), only needed for the own class.
        others = (counts[place] - 1).clamp_min(1)[:, None]
        left_out = (embeddings - (sums[place] - embeddings) / others).square().sum(-1)
        distances = distances.index_put((own, place), left_out)
        paired = counts[place] > 1
        losses = F.cross_entropy(-distances, place, reduction="none")
        return _mean(losses, paired)


class NCA(EmbeddingLoss):
    """Neighbourhood components analysis (Goldberger et al. 2005): a softmax over squared distances
    to all others, whose mass should be on the own class. It beats episodic training at the same
    cost (Laenen and Bertinetto 2021, arXiv:2012.09831).

    Args:
        temperature: that distances are divided by.
    """

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__()
        self.temperature = _positive("temperature", temperature)

    def forward(self, embeddings: Tensor, targets: Tensor) -> Tensor:
        embeddings = embeddings.float()
        logits = -squared(embeddings, embeddings) / self.temperature
        return _attraction(logits, targets, inside=True)


class SupervisedContrastive(EmbeddingLoss):
    """Supervised contrastive loss (Khosla et al. 2020, arXiv:2004.11362), form L_out, on the unit
    sphere. With two views of each image as a class of its own it is SimCLR's NT-Xent (Chen et al.
    2020, arXiv:2002.05709).

    Args:
        temperature: that cosines are divided by.
    """

    def __init__(self, temperature: float = 0.1) -> None:
        super().__init__()
        self.temperature = _positive("temperature", temperature)

    def forward(self, embeddings: Tensor, targets: Tensor) -> Tensor:
        unit = F.normalize(embeddings.float(), dim=-1)
        return _attraction(unit @ unit.T / self.temperature, targets, inside=False)


class Contrastive(EmbeddingLoss):
    """Pulls pairs of a class together and pushes others beyond a margin (Hadsell et al. 2006).

    The mean over positive pairs of d², and over negative ones of max(0, margin - d)², on the unit
    sphere.

    Args:
        margin: minimum distance of examples of different classes, up to 2.
    """

    def __init__(self, margin: float = 1.0) -> None:
        super().__init__()
        self.margin = _positive("margin", margin)

    def forward(self, embeddings: Tensor, targets: Tensor) -> Tensor:
        unit = F.normalize(embeddings.float(), dim=-1)
        distances = squared(unit, unit)
        positive = same_class(targets)
        negative = targets[:, None] != targets[None, :]
        push = (self.margin - _root(distances)).clamp_min(0).square()
        return _mean(distances, positive) + _mean(push, negative)


class Triplet(EmbeddingLoss):
    """The farthest positive should be nearer than the nearest negative (Schroff et al. 2015,
    arXiv:1503.03832; hardest of the batch, Hermans et al. 2017, arXiv:1703.07737).

    Args:
        margin: in Euclidean distance; ``None`` uses the soft margin log(1 + exp(d+ - d-)).
    """

    def __init__(self, margin: float | None = None) -> None:
        super().__init__()
        self.margin = margin if margin is None else _positive("margin", margin)

    def forward(self, embeddings: Tensor, targets: Tensor) -> Tensor:
        embeddings = embeddings.float()
        distances = _root(squared(embeddings, embeddings))
        positive = same_class(targets)
        negative = targets[:, None] != targets[None, :]
        farthest = distances.masked_fill(~positive, -torch.inf).max(1).values
        nearest = distances.masked_fill(~negative, torch.inf).min(1).values
        usable = positive.any(1) & negative.any(1)
        gap = torch.where(usable, farthest - nearest, torch.zeros_like(farthest))
        losses = F.softplus(gap) if self.margin is None else (gap + self.margin).clamp_min(0)
        return _mean(losses, usable) + 0 * embeddings.sum()


def _attraction(logits: Tensor, targets: Tensor, inside: bool) -> Tensor:
    """Minus the log of the softmax mass on the own class, averaged over examples with a positive.

    ``inside`` sums over the class before the log; otherwise the mean of the logs is taken.
    """
    positive = same_class(targets)
    itself = torch.eye(len(targets), dtype=torch.bool, device=logits.device)
    logs = logits.masked_fill(itself, -torch.inf).log_softmax(1)
    paired = positive.any(1)
    if inside:
        mass = logs.masked_fill(~positive, -torch.inf)[paired].logsumexp(1)
        return -mass.mean() if len(mass) else 0 * logits.sum()
    counts = positive.sum(1).clamp_min(1)
    return _mean(-logs.masked_fill(~positive, 0.0).sum(1) / counts, paired)


def _mean(values: Tensor, selected: Tensor) -> Tensor:
    """The mean of the selected values; 0 if there are none."""
    return torch.where(selected, values, torch.zeros_like(values)).sum() / selected.sum().clamp_min(
        1
    )


def _root(distances: Tensor) -> Tensor:
    """Square roots whose gradient is finite at 0."""
    return distances.clamp_min(1e-12).sqrt()


def _positive(name: str, value: float) -> float:
    if not value > 0:
        raise InputError(f"loss, {name}", "a number above 0", f"{value:g}")
    return float(value)
