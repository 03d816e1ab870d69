"""Labels that spread over a graph of support and queries."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...metric.distances import squared
from .base import FewShotLearner


class LabelPropagation(FewShotLearner):
    """Label propagation in closed form (Zhou et al. 2003; for episodes: TPN, Liu et al. 2019,
    arXiv:1805.10002).

    Examples are joined with their nearest neighbours by ``exp(-d^2 / (2 w))``, where w is
    ``width`` times the mean squared distance to those neighbours. With the graph's normalised
    adjacency A, labels become ``(I - alpha A)^-1 Y``. All queries are used together.

    Args:
        alpha: how far labels spread, in (0, 1).
        neighbours: number that each example is joined with; ``None``: one less than a class has in
            support and queries on average, between 1 and 10.
        width: of the kernel.
    """

    name = "label-propagation"
    settings = ("alpha", "neighbours", "width")
    transductive = True

    def __init__(
        self,
        embed: nn.Module | None = None,
        *,
        dim: int | None = None,
        alpha: float = 0.9,
        neighbours: int | None = None,
        width: float = 0.5,
    ) -> None:
        super().__init__(embed, dim=dim)
        self.demand("alpha", 0 < alpha < 1, "a number between 0 and 1", alpha)
        self.demand("neighbours", neighbours is None or neighbours >= 1, "1 or more", neighbours)
        self.demand("width", width > 0, "a number above 0", width)
        self.alpha, self.neighbours, self.width = alpha, neighbours, width

    def compare(self, support: Tensor, members: Tensor, query: Tensor) -> Tensor:
        adjacency = self.graph(torch.cat([support, query], dim=1), members.shape[-1])
        start = F.pad(members, (0, 0, 0, query.shape[1]))
        eye = torch.eye(adjacency.shape[-1], device=support.device, dtype=support.dtype)
        spread: Tensor = torch.linalg.solve(eye - self.alpha * adjacency, start)
        # A query that no label reaches belongs to no class: all logits are equal.
        reached = spread[:, support.shape[1] :].clamp_min(torch.finfo(spread.dtype).tiny)
        return reached.log()

    def graph(self, points: Tensor, ways: int) -> Tensor:
        """Normalised adjacency (E, V, V) of points (E, V, D) from this many classes."""
        count = points.shape[1]
        near = self.neighbours or min(10, max(1, count // ways - 1))
        diagonal = torch.eye(count, device=points.device, dtype=torch.bool)
        distances = squared(points, points)
        others = distances.masked_fill(diagonal, torch.inf)
        nearest = others.topk(min(near, count - 1), dim=-1, largest=False)
        width = nearest.values.mean(dim=(1, 2), keepdim=True).clamp_min(1e-12) * self.width
        joined = torch.zeros_like(diagonal).expand_as(distances).scatter(2, nearest.indices, True)
        kernel = torch.exp(-distances / (2 * width)) * (joined | joined.mT)
        degree = kernel.sum(dim=-1).clamp_min(torch.finfo(kernel.dtype).tiny).rsqrt()
        return degree[..., None] * kernel * degree[:, None]
