"""How far outputs are from those of a teacher, as a loss for the student."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .distances import squared


def imitation(outputs: Tensor, teacher: Tensor, targets: Tensor) -> Tensor:
    """How far outputs are from those of a teacher; its gradient is that of knowledge distillation.

    For class indices as targets the Kullback-Leibler divergence of the softmax over dimension 1
    (Hinton et al. 2015, arXiv:1503.02531, at temperature 1), a mean over all other dimensions. For
    values the mean squared difference.

    Args:
        outputs, teacher: (n, classes, ...) logits or (n, ...) values; the teacher gets no gradient.
        targets: as the task's loss takes them; their type alone is read.
    """
    teacher = teacher.detach().float()
    if targets.is_floating_point():
        return F.mse_loss(outputs.float(), teacher)
    own, goal = outputs.float().log_softmax(1), teacher.log_softmax(1)
    return (goal.exp() * (goal - own)).sum(1).mean()


def relational(outputs: Tensor, teacher: Tensor) -> Tensor:
    """The same for embeddings: who is near whom in a batch, not where (Park et al. 2019,
    arXiv:1904.05068). Student and teacher may have embeddings of different size.

    The Kullback-Leibler divergence of the softmax over negative squared distances to the others.

    Args:
        outputs: (n, d), n of 3 or more.
        teacher: (n, e); it gets no gradient.
    """
    own, goal = _nearness(outputs.float()), _nearness(teacher.detach().float())
    return (goal.exp() * (goal - own)).sum(1).mean()


def _nearness(embeddings: Tensor) -> Tensor:
    """Logs of a softmax over the others, (n, n - 1)."""
    count = len(embeddings)
    logits = -squared(embeddings, embeddings)
    others = ~torch.eye(count, dtype=torch.bool, device=logits.device)
    return logits[others].view(count, count - 1).log_softmax(1)
