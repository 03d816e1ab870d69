"""Beta-DARTS: a regulariser on the output of the softmax."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..._support.errors import InputError
from ..session import Session
from .darts import DARTS


class BetaDARTS(DARTS):
    """DARTS with beta-decay (Ye et al. 2022, arXiv:2203.01665).

    The loss of the alphas gains the mean of their log-sum-exp, with a weight that rises from 0 over
    the training. It keeps the softmax's outputs from growing apart early, which is how
    parameter-free options come to lead.

    Args:
        most: the weight at the end; 50 in the paper, whose cells have 6 decisions or more. It is
            shared by the decisions, so a space with fewer needs less.
        options: fields of :class:`~.settings.Settings`.

    Raises:
        InputError: an option is unknown or out of its range.
    """

    name = "beta-darts"

    def __init__(self, most: float = 50.0, **options: Any) -> None:
        super().__init__(**options)
        if not 0 <= most < 1e6:
            raise InputError(f"{self.name}, most", "0 or more", str(most))
        self.most = most

    def regulariser(self, session: Session) -> Tensor | None:
        sums = [torch.logsumexp(self.alphas[d.name], 0) for d in self.relaxed.values()]
        return self.most * session.progress * torch.stack(sums).mean()
