"""Comparisons of embeddings, and statistics of classes, for many episodes at once."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ...metric.distances import squared

#: Names of similarities.
METRICS = ("euclidean", "cosine")


def cosines(left: Tensor, right: Tensor) -> Tensor:
    """Cosine similarities (E, A, B) of (E, A, D) and (E, B, D)."""
    return F.normalize(left, dim=-1) @ F.normalize(right, dim=-1).mT


def similarity(metric: str, left: Tensor, right: Tensor) -> Tensor:
    """``"euclidean"``: negative squared distances; ``"cosine"``: cosines; (E, A, B)."""
    return cosines(left, right) if metric == "cosine" else -squared(left, right)


def class_means(values: Tensor, members: Tensor) -> Tensor:
    """Means over the examples of each class, (E, N, D), of (E, S, D) and classes (E, S, N)."""
    return (members / members.sum(dim=1, keepdim=True)).mT @ values


def class_maxima(values: Tensor, members: Tensor) -> Tensor:
    """Largest value of each class, (E, M, N), of (E, M, S) and classes (E, S, N)."""
    code = members.argmax(dim=-1)[:, None].expand_as(values)
    room = values.new_full((*values.shape[:2], members.shape[-1]), -torch.inf)
    return room.scatter_reduce(2, code, values, "amax")


def class_logsumexp(values: Tensor, members: Tensor) -> Tensor:
    """Log of the sum of exponentials over each class, (E, M, N), of (E, M, S) and (E, S, N)."""
    highest = class_maxima(values, members).detach()
    code = members.argmax(dim=-1)[:, None].expand_as(values)
    # Scaled by each class's own largest value; otherwise a far class would be the log of zero.
    return torch.log(torch.exp(values - highest.gather(2, code)) @ members) + highest


def within_span(support: Tensor, query: Tensor) -> tuple[Tensor, Tensor]:
    """The same points in orthonormal coordinates of the space that the support spans.

    Products with vectors of that space do not change, and it has at most S dimensions:
    (E, S, min(S, D)) and (E, M, min(S, D)) of (E, S, D) and (E, M, D).
    """
    if support.shape[-1] <= support.shape[1]:
        return support, query
    basis = torch.linalg.qr(support.mT).Q
    return support @ basis, query @ basis
