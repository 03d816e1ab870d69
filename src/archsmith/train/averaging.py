"""An exponential moving average of a model's weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """The moving average of a model's parameters and buffers, or none if ``decay`` is 0.

    After step ``t``, from 1, the average moves towards the weights by ``1 - d``, where ``d`` is
    the smaller of ``decay`` and ``t / (9 + t)``, so that a short training soon forgets its
    initial weights. What BatchNorm estimates is averaged with the weights (Polyak and Juditsky
    1992, Acceleration of Stochastic Approximation by Averaging). Integers, such as counters, are
    copied.

    Args:
        decay: in [0, 1).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._model, self._decay = model, decay
        self.values: dict[str, Tensor] = {}
        if decay:
            self.values = {name: t.detach().clone() for name, t in _tensors(model)}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move the average after a step, which counts from 1."""
        if not self._decay:
            return
        weight = 1 - min(self._decay, step / (9 + step))
        averages, current = [], []
        for name, tensor in _tensors(self._model):
            average = self.values.get(name)
            if average is None or average.shape != tensor.shape:  # forward has made or grown it
                self.values[name] = tensor.detach().clone()
            elif average.dtype.is_floating_point or average.dtype.is_complex:
                averages.append(average)
                current.append(tensor.detach())
            else:
                average.copy_(tensor)
        if averages:
            torch._foreach_lerp_(averages, current, weight)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model has the averaged weights while the context is open."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for name, tensor in _tensors(self._model) if self._decay else ():
            if (average := self.values.get(name)) is not None:
                kept = tensor.detach().clone()
                tensor.copy_(average)
                average.copy_(kept)

    def load(self, values: Mapping[str, Tensor]) -> None:
        """Continue an average: its values by name; without any, the weights as they are now."""
        for name, average in self.values.items():
            average.copy_(values[name] if values else dict(_tensors(self._model))[name])


def _tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from model.named_parameters()
    yield from model.named_buffers()
