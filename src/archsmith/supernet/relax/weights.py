"""What a relaxation learns in addition to the shared weights: a number for each option."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

#: How far Adam can move a number in the first paper: 19,500 steps (50 epochs of half of CIFAR-10)
#: at a rate of 3e-4.
_REACH = 6.0
_LEAST, _MOST = 3e-4, 0.1
_SPREAD = 1e-3  # of the first values, as in the paper: no option is ahead


def rate_for(steps: int) -> float:
    """The learning rate of alphas for a search of this many steps.

    DARTS (arXiv:1806.09055) uses 3e-4, with which Adam can move an alpha by 6 in all of its
    steps. A search of a few hundred steps could not leave the start at that rate, so a shorter one
    has a higher rate and the same reach; 0.1 at most.
    """
    return min(_MOST, max(_LEAST, _REACH / max(1, steps)))


class Alphas:
    """Named vectors and their Adam, with weight decay in the gradient as in DARTS.

    A vector may be added at any time: a space can ask decisions that were not seen before.

    Args:
        rate, decay, betas: of Adam, the rate read at each step; (0.5, 0.999) in the paper,
            whose gradients are noisy.
        seed: of the first values, normally distributed with a deviation of 1e-3.
    """

    def __init__(
        self,
        rate: float,
        decay: float = 1e-3,
        betas: tuple[float, float] = (0.5, 0.999),
        *,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        self.rate, self.decay, self.betas = rate, decay, betas
        self.seed, self.device = seed, device
        self._values: dict[str, nn.Parameter] = {}
        self._adam: torch.optim.Adam | None = None

    def __getitem__(self, name: str) -> nn.Parameter:
        return self._values[name]

    def __contains__(self, name: object) -> bool:
        return name in self._values

    @property
    def names(self) -> tuple[str, ...]:
        """In the order in which they were added."""
        return tuple(self._values)

    def tensors(self) -> list[nn.Parameter]:
        """In the order of :attr:`names`."""
        return list(self._values.values())

    def add(self, name: str, size: int) -> None:
        """Add a vector of this size, unless it exists."""
        if name in self._values:
            return
        rng = random.Random(f"{self.seed} {name}")
        first = torch.tensor([rng.gauss(0.0, _SPREAD) for _ in range(size)])
        value = self._values[name] = nn.Parameter(first.to(self.device))
        if self._adam is None:
            self._adam = torch.optim.Adam(
                [value], lr=self.rate, betas=self.betas, weight_decay=self.decay
            )
        else:
            self._adam.add_param_group({"params": [value]})

    def learn(self, gradients: Sequence[Tensor | None]) -> None:
        """One step of Adam; a vector without a gradient does not change."""
        assert self._adam is not None
        for value, gradient in zip(self._values.values(), gradients, strict=True):
            value.grad = gradient
        for group in self._adam.param_groups:
            group["lr"] = self.rate
        self._adam.step()
        self._adam.zero_grad(set_to_none=True)

    def values(self) -> dict[str, Tensor]:
        """Copies of the vectors, on the CPU."""
        return {name: value.detach().to("cpu", copy=True) for name, value in self._values.items()}

    def put(self, values: Mapping[str, Tensor]) -> None:
        """Set vectors that exist; the others are ignored."""
        with torch.no_grad():
            for name, value in values.items():
                if name in self._values:
                    self._values[name].copy_(value)

    def state(self) -> dict[str, dict[str, Tensor]]:
        """For each vector its value and Adam's moments."""
        assert self._adam is not None
        states = {}
        for name, value in self._values.items():
            moments = self._adam.state.get(value, {})
            states[name] = {"value": value.detach(), **moments}
        return states

    def load_state(self, state: Mapping[str, Mapping[str, Any]]) -> None:
        """Restore :meth:`state`; vectors that do not exist yet are added."""
        for name, saved in state.items():
            self.add(name, len(saved["value"]))
            entries = dict(saved)
            with torch.no_grad():
                self._values[name].copy_(entries.pop("value"))
            if entries:
                assert self._adam is not None
                # Adam counts its steps on the CPU, wherever the parameter is.
                step = torch.as_tensor(entries.pop("step"), dtype=torch.float32).cpu().clone()
                moments = {key: tensor.to(self.device).clone() for key, tensor in entries.items()}
                self._adam.state[self._values[name]] = {"step": step, **moments}
