"""Learners that keep one point of each class: its mean."""

from __future__ import annotations

from torch import Tensor, nn

from .base import FewShotLearner
from .distances import centroids, similarity

METRICS = ("euclidean", "cosine")


class Prototypical(FewShotLearner):
    """Prototypical networks (Snell et al. 2017, arXiv:1703.05175): the nearest mean of a class.

    Args:
        metric: ``"euclidean"`` (squared, as in the paper) or ``"cosine"``.
        scale: what similarities are multiplied by.
    """

    name = "prototypical"
    settings = ("metric", "scale")

    def __init__(
        self,
        embed: nn.Module | None = None,
        *,
        dim: int | None = None,
        metric: str = "euclidean",
        scale: float = 1.0,
    ) -> None:
        super().__init__(embed, dim=dim)
        self.demand("metric", metric in METRICS, f"one of {METRICS}", metric)
        self.demand("scale", scale > 0, "a number above 0", scale)
        self.metric, self.scale = metric, scale

    def compare(self, support: Tensor, members: Tensor, query: Tensor) -> Tensor:
        return self.scale * similarity(self.metric, query, centroids(support, members))
