"""Learners that keep one point of each class: its mean."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..._support.errors import InputError
from .base import FewShotLearner
from .distances import METRICS, class_means, similarity

#: Feature transforms of SimpleShot.
TRANSFORMS = ("un", "l2n", "cl2n")


class Prototypical(FewShotLearner):
    """Prototypical networks (Snell et al. 2017, arXiv:1703.05175): the nearest mean of a class.

    Args:
        metric: ``"euclidean"`` (squared, as in the paper) or ``"cosine"``.
        scale: factor of the similarities.
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
        return self.scale * similarity(self.metric, query, class_means(support, members))


class SimpleShot(FewShotLearner):
    """Nearest mean of transformed features (Wang et al. 2019, arXiv:1911.04623).

    Args:
        transform: ``"un"`` uses features unchanged, ``"l2n"`` scales each to length 1,
            ``"cl2n"`` subtracts ``base_mean`` first.
        base_mean: (D,) mean feature of the classes that the embedding was trained on.
        scale: factor of the negative squared distances.
    """

    name = "simpleshot"
    settings = ("transform", "scale")

    def __init__(
        self,
        embed: nn.Module | None = None,
        *,
        dim: int | None = None,
        transform: str = "l2n",
        base_mean: Tensor | None = None,
        scale: float = 1.0,
    ) -> None:
        super().__init__(embed, dim=dim)
        self.demand("transform", transform in TRANSFORMS, f"one of {TRANSFORMS}", transform)
        self.demand("scale", scale > 0, "a number above 0", scale)
        self.transform, self.scale = transform, scale
        self.base_mean: Tensor
        self.register_buffer("base_mean", torch.empty(0) if base_mean is None else base_mean)

    def check(self, features: Tensor, members: Tensor) -> None:
        transformed(features, self.transform, self.base_mean)

    def compare(self, support: Tensor, members: Tensor, query: Tensor) -> Tensor:
        support = transformed(support, self.transform, self.base_mean)
        query = transformed(query, self.transform, self.base_mean)
        return self.scale * similarity("euclidean", query, class_means(support, members))


def transformed(features: Tensor, transform: str, base_mean: Tensor | None = None) -> Tensor:
    """Features (..., D) as :class:`SimpleShot` takes them.

    Raises:
        InputError: ``"cl2n"`` without a base mean, or with one of another length.
    """
    if transform == "cl2n":
        if base_mean is None or base_mean.shape != features.shape[-1:]:
            raise InputError(
                "simpleshot base_mean",
                f"a mean feature of length {features.shape[-1]} for cl2n",
                "none"
                if base_mean is None or not base_mean.numel()
                else f"shape {tuple(base_mean.shape)}",
                "pass the mean feature of the training classes, or use transform='l2n'",
            )
        features = features - base_mean
    return features if transform == "un" else F.normalize(features, dim=-1)
