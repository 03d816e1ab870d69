"""Distillation losses: how far outputs are from those of a teacher."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .distances import squared


def imitation(outputs: Tensor, teacher: Tensor, targets: Tensor) -> Tensor:
    """The distance of outputs from those of a teacher, as in knowledge distillation.

    With class indices as targets, the Kullback-Leibler divergence of the softmax over dimension 1
    (Hinton et al. 2015, arXiv:1503.02531, at temperature 1), averaged over all other dimensions.
    With values as targets, the mean squared difference.

    Args:
        outputs, teacher: (n, classes, ...) logits or (n, ...) values; the teacher gets no gradient.
        targets: as for the task's loss; only their dtype is used.
    """
    teacher = teacher.detach().float()
    if targets.is_floating_point():
        return F.mse_loss(outputs.float(), teacher)
    own, goal = outputs.float().log_softmax(1), teacher.log_softmax(1)
    return (goal.exp() * (goal - own)).sum(1).mean()


def relational(outputs: Tensor, teacher: Tensor) -> Tensor:
    """Relational distillation of embeddings (Park et al. 2019, arXiv:1904.05068): compares relative
    distances in a batch, not positions. Student and teacher may have different embedding sizes.

    The Kullback-Leibler divergence of the softmax over negative squared distances to the others.

    Args:
        outputs: (n, d), n at least 3.
        teacher: (n, e); it gets no gradient.
    """
    own, goal = _nearness(outputs.float()), _nearness(teacher.detach().float())
    return (goal.exp() * (goal - own)).sum(1).mean()


def _nearness(embeddings: Tensor) -> Tensor:
    """Log softmax of negative squared distances to the others, (n, n - 1)."""
    count = len(embeddings)
    logits = -squared(embeddings, embeddings)
    others = ~torch.eye(count, dtype=torch.bool, device=logits.device)
    return logits[others].view(count, count - 1).log_softmax(1)
