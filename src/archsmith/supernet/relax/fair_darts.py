"""FairDARTS: options that do not compete."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ..session import Session
from .child import Child, even_mixes, silent_options
from .mixture import Mix
from .reading import Relaxed, size_of, taken
from .relaxation import Relaxation

_ZERO_ONE = 10.0  # weight of the zero-one loss, as in the paper
_THRESHOLD = 0.85  # above which an option is taken, as in the paper
_EDGE = math.log(_THRESHOLD / (1.0 - _THRESHOLD))  # the alpha of that
_EXAMPLES = 8


class FairDARTS(Relaxation):
    """Fair DARTS (Chu et al. 2020, arXiv:1911.12126).

    Each option has a sigmoid of its own instead of a share of a softmax, so that an option without
    parameters wins nothing by pushing others out; a zero-one loss, the negative mean square
    distance from 0.5, drives them to be in or out. Of a choice the largest is taken, since
    exactly one must be; of a subset those above 0.85, as far as its sizes allow.

    An option that outputs zeros (``none`` in a cell) has nothing to learn from: added to the others
    it changes no output. Its gate is fixed at the 0.85 that the others must exceed, so it is taken
    if none of them does, just as the paper leaves such an edge out. If that would disconnect the
    output, the options nearest to the bound are taken (:meth:`~.Relaxation.derive`).
    """

    name = "fair-darts"

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        #: Places of the options that output zeros, by decision.
        self._silent: dict[str, frozenset[int]] = {}

    def gates(self, decision: Relaxed) -> Tensor:
        """How far each option is included, (options,), each in (0, 1)."""
        return torch.sigmoid(self._alphas_of(decision))

    def probabilities(self, decision: Relaxed) -> Tensor:
        """The gates, scaled to sum to how many options are taken in the end."""
        gates = self.gates(decision)
        return gates / gates.sum().clamp_min(1e-12) * taken(decision)

    def scores(self, decision: Relaxed) -> Tensor:
        return self._alphas_of(decision).detach() - _EDGE

    def mix(self, session: Session, decision: Relaxed, purpose: str) -> Mix:
        return Mix(self.gates(decision))

    def regulariser(self, session: Session) -> Tensor | None:
        gates = torch.cat([self.gates(decision) for decision in self.relaxed.values()])
        return -_ZERO_ONE * (gates - 0.5).square().mean()

    def _alphas_of(self, decision: Relaxed) -> Tensor:
        alpha = self.alphas[decision.name]
        silent = sorted(self._silent.get(decision.name, ()))
        if not silent or len(silent) == size_of(decision):
            return alpha
        return alpha.index_fill(0, torch.tensor(silent, device=alpha.device), _EDGE)

    def begin(self, session: Session) -> None:
        self._silent = {}
        super().begin(session)

    def _read(self, session: Session, default: bool = False) -> Child:
        child = super()._read(session, default)
        if not child.run.relaxed.keys() <= self._silent.keys():
            ((inputs, _), *_) = session.probe(_EXAMPLES, _EXAMPLES)
            self.source.set(even_mixes(child.run, session.device))
            self._silent = silent_options(child, inputs) | self._silent
        return child
