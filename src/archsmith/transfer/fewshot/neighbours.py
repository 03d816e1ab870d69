"""Learners that compare a query with each example."""

from __future__ import annotations

from torch import Tensor, nn

from .base import FewShotLearner
from .distances import METRICS, class_logsumexp, class_maxima, similarity


class NearestNeighbour(FewShotLearner):
    """The class of the nearest example.

    Args:
        metric: ``"euclidean"`` or ``"cosine"``.
        scale: factor of the similarities.
    """

    name = "nearest-neighbour"
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
        return self.scale * class_maxima(similarity(self.metric, query, support), members)


class Matching(FewShotLearner):
    """Matching networks (Vinyals et al. 2016, arXiv:1606.04080): attention over the support.

    A query's probability of a class is the attention, a softmax of cosines, on the examples of
    that class. Without full-context embeddings.

    Args:
        scale: factor of the cosines before the softmax; the paper has 1.
    """

    name = "matching"
    settings = ("scale",)

    def __init__(
        self, embed: nn.Module | None = None, *, dim: int | None = None, scale: float = 10.0
    ) -> None:
        super().__init__(embed, dim=dim)
        self.demand("scale", scale > 0, "a number above 0", scale)
        self.scale = scale

    def compare(self, support: Tensor, members: Tensor, query: Tensor) -> Tensor:
        attention = self.scale * similarity("cosine", query, support)
        # The softmax's denominator is the same for all classes.
        return class_logsumexp(attention, members)
