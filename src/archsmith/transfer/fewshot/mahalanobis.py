"""Classes as distributions: each has a centre and a covariance."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .base import FewShotLearner
from .distances import class_means, within_span


class Mahalanobis(FewShotLearner):
    """Nearest mean by each class's own covariance (Simple CNAPS, Bateni et al. 2020,
    arXiv:1912.03432).

    The covariance of a class of n examples is ``w C + (1 - w) T + r I`` with its own C, that of
    the whole support T, and w = n / (n + 1).

    Args:
        ridge: r.
    """

    name = "mahalanobis"
    settings = ("ridge",)

    def __init__(
        self, embed: nn.Module | None = None, *, dim: int | None = None, ridge: float = 1.0
    ) -> None:
        super().__init__(embed, dim=dim)
        self.demand("ridge", ridge > 0, "a number above 0", ridge)
        self.ridge = ridge

    def compare(self, support: Tensor, members: Tensor, query: Tensor) -> Tensor:
        middle = support.mean(dim=1, keepdim=True)
        # Off the span of the support all classes are equally far.
        inputs, asked = within_span(support - middle, query - middle)
        means, counts = class_means(inputs, members), members.sum(dim=1)
        within = inputs[:, None] - means[:, :, None]
        own = (within * members.mT[..., None]).mT @ within
        own = own / (counts - 1).clamp_min(1)[..., None, None]
        whole = (inputs.mT @ inputs / (inputs.shape[1] - 1))[:, None]
        share = (counts / (counts + 1))[..., None, None]
        eye = torch.eye(inputs.shape[-1], device=inputs.device, dtype=inputs.dtype)
        factor = torch.linalg.cholesky(share * own + (1 - share) * whole + self.ridge * eye)
        away = (asked[:, None] - means[:, :, None]).mT
        scaled: Tensor = torch.linalg.solve_triangular(factor, away, upper=False)
        return -scaled.square().sum(dim=2).mT
