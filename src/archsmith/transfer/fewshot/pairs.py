"""Learners that are trained to score the similarity of two embeddings."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .base import FewShotLearner
from .distances import class_means


class Siamese(FewShotLearner):
    """A Siamese network's score of pairs: a weighted sum of |difference| (Koch et al. 2015).

    The score of a class is the mean over its examples. Koch trains on pairs; here scores of all
    classes are trained together, by cross entropy.

    Args:
        dim: length of an embedding; there is a weight for each of its values.
    """

    name = "siamese"
    sized = True

    def __init__(self, embed: nn.Module | None = None, *, dim: int | None = None) -> None:
        super().__init__(embed, dim=dim)
        assert self.dim is not None
        self.weight = nn.Parameter(torch.full((self.dim,), -1 / math.sqrt(self.dim)))

    def pairs(self, query: Tensor, support: Tensor) -> Tensor:
        """Scores (E, M, S) of (E, M, D) and (E, S, D)."""
        scores = query.new_zeros(())
        # Weights of one sign are multiplied into the features, so that no (M, S, D) is stored.
        for sign in (1, -1):
            weight = F.relu(sign * self.weight)
            if bool((weight > 0).any()):
                scores = scores + sign * torch.cdist(query * weight, support * weight, p=1)
        return scores.expand(*query.shape[:2], support.shape[1])

    def compare(self, support: Tensor, members: Tensor, query: Tensor) -> Tensor:
        return self.pairs(query, support) @ (members / members.sum(dim=1, keepdim=True))


class Relation(FewShotLearner):
    """Relation networks (Sung et al. 2018, arXiv:1711.06025): a small network scores pairs.

    A pair is a query and the mean of a class. The paper's module is convolutional and regresses
    to 0 and 1; this one takes embeddings as vectors, and its scores are logits.

    Args:
        dim: length of an embedding.
        hidden: width of the relation module's two hidden layers.
    """

    name = "relation"
    settings = ("hidden",)
    sized = True

    def __init__(
        self, embed: nn.Module | None = None, *, dim: int | None = None, hidden: int = 64
    ) -> None:
        super().__init__(embed, dim=dim)
        assert self.dim is not None
        self.demand("hidden", hidden >= 1, "1 or more", hidden)
        self.hidden = hidden
        self.of_query = nn.Linear(self.dim, hidden)
        self.of_class = nn.Linear(self.dim, hidden, bias=False)
        self.judge = nn.Sequential(
            nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1)
        )

    def compare(self, support: Tensor, members: Tensor, query: Tensor) -> Tensor:
        # A linear layer on a concatenation is the sum of linear layers on its parts.
        means = self.of_class(class_means(support, members))
        pairs: Tensor = self.of_query(query)[:, :, None] + means[:, None]
        scores: Tensor = self.judge(pairs)
        return scores.squeeze(-1)
