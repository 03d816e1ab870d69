"""A penalty that keeps weights near their starting point."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor, nn

from ..._support.errors import InputError


class L2SP:
    """``strength / 2 · Σ (w - w₀)²`` over pretrained weights, ``new / 2 · Σ w²`` over the others.

    Li, Grandvalet and Davoine 2018 (arXiv:1802.01483): weight decay pulls towards zero, this
    pulls towards the starting point. The current weights are the starting point. Frozen parameters
    are not penalised.

    Args:
        model: with the pretrained weights.
        strength: for those weights.
        fresh: names of new parameters (the head).
        new: strength for these.

    Raises:
        InputError: a strength below 0, or a name that the model does not have.
    """

    def __init__(
        self, model: nn.Module, strength: float, fresh: Collection[str] = (), new: float = 0.01
    ) -> None:
        if strength < 0 or new < 0:
            raise InputError("l2sp", "0 or a number above it", f"{min(strength, new):g}")
        named = dict(model.named_parameters())
        unknown = sorted(set(fresh) - named.keys())
        if unknown:
            raise InputError("l2sp", "names of the model's parameters", repr(unknown[0]))
        self.strength, self.new = strength, new
        self._fresh = [named[name] for name in fresh]
        kept = [p for name, p in named.items() if name not in set(fresh)]
        self._start = [(p, p.detach().clone()) for p in kept]

    def __call__(self) -> Tensor:
        """The penalty of the model's current weights; a scalar with a gradient."""
        # The model may have moved to another device since; its starting point is then moved once.
        self._start = [(p, start.to(p.device)) for p, start in self._start]
        terms = [
            self.strength / 2 * (p - start).square().sum()
            for p, start in self._start
            if self.strength and p.requires_grad
        ]
        terms += [
            self.new / 2 * p.square().sum() for p in self._fresh if self.new and p.requires_grad
        ]
        return torch.stack(terms).sum() if terms else torch.zeros(())
