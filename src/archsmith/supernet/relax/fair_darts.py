"""FairDARTS: options that do not compete."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...space.decision import Categorical
from ..session import Session
from .mixture import Mix
from .reading import Relaxed, taken
from .relaxation import Relaxation

_ZERO_ONE = 10.0  # weight of the zero-one loss, as in the paper
_THRESHOLD = 0.85  # above which a candidate is taken, as in the paper


class FairDARTS(Relaxation):
    """Fair DARTS (Chu et al. 2020, arXiv:1911.12126).

    Each option has a sigmoid of its own in place of a share of a softmax, so that an option without
    parameters wins nothing by pushing others out; a zero-one loss, the negative mean square
    distance from 0.5, drives them to be in or out. Of a choice the largest is taken, since exactly
    one has to be; of a subset those above 0.85, as far as its sizes allow.
    """

    name = "fair-darts"

    def gates(self, decision: Relaxed) -> Tensor:
        """How far each option is in, (options,), each in (0, 1)."""
        return torch.sigmoid(self.alphas[decision.name])

    def probabilities(self, decision: Relaxed) -> Tensor:
        """The gates, scaled to sum to how many options are taken: what they come to in the end."""
        gates = self.gates(decision)
        return gates / gates.sum().clamp_min(1e-12) * taken(decision)

    def scores(self, decision: Relaxed) -> Tensor:
        alpha = self.alphas[decision.name].detach()
        if isinstance(decision, Categorical):
            return torch.nn.functional.logsigmoid(alpha)
        return alpha - math.log(_THRESHOLD / (1.0 - _THRESHOLD))

    def mix(self, session: Session, decision: Relaxed, purpose: str) -> Mix:
        return Mix(self.gates(decision))

    def regulariser(self, session: Session) -> Tensor | None:
        gates = torch.cat([self.gates(decision) for decision in self.relaxed.values()])
        return -_ZERO_ONE * (gates - 0.5).square().mean()
