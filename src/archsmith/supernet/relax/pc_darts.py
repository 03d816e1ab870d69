"""PC-DARTS: a mixture that sees a quarter of the channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch

from ...space.decision import Categorical
from ..session import Session
from .mixture import Mix
from .reading import Relaxed
from .relaxation import Relaxation


class PCDARTS(Relaxation):
    """Partially connected DARTS (Xu et al. 2020, arXiv:1907.05737).

    One channel in four goes through the options, which are made that much narrower; the others
    bypass them, and all are shuffled. That takes less time and memory, and leaves parameter-free
    options less of a lead. Alphas wait for 0.3 of the training, as in the paper (15 of 50 epochs).

    The paper also weighs the edges that a node sums against each other. Which edges these are
    cannot be determined in a module that somebody else wrote, so each decision has a scale of its
    own instead, learned with the alphas: twice a sigmoid, 1 at the start. It plays no part in
    :meth:`derive`. A subset's candidates see all channels.

    The shared weights are trained for the narrow options alone (the first quarter of each of their
    dimensions), so they say little about single architectures: train what was derived.

    Raises:
        SpaceError: a layer that cannot be made narrower, channels that do not divide by 4, or
            options that change the number of channels.
    """

    name = "pc-darts"
    partial = 4
    usual: ClassVar[Mapping[str, Any]] = {"warm": 0.3}

    def join(self, decision: Relaxed) -> None:
        super().join(decision)
        if isinstance(decision, Categorical):
            self.alphas.add(_edge(decision.name), 1)

    def mix(self, session: Session, decision: Relaxed, purpose: str) -> Mix:
        if not isinstance(decision, Categorical):
            return Mix(self.probabilities(decision))
        scale = 2.0 * torch.sigmoid(self.alphas[_edge(decision.name)][0])
        return Mix(self.probabilities(decision), scale=scale)


def _edge(name: str) -> str:
    """The name of a decision's scale; no decision has an equals sign in its name."""
    return f"{name}=scale"
