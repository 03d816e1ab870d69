"""The gradient in alphas of the loss after a step of the weights (DARTS, arXiv:1806.09055)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

_EPSILON = 0.01  # length of the finite difference, as in the paper
_TINY = 1e-30  # under a root: its slope at zero is infinite

#: Where gradients move weights to; ``None`` for those that stay. Differentiable in the gradients.
Step = Callable[[Sequence[Tensor], Sequence[Tensor | None]], list[Tensor | None]]


class ComingStep:
    """The step that an optimiser is about to take, as a differentiable function of the gradients.

    Args:
        optimizer: with its state, which is left unchanged: SGD, with momentum and Nesterov's
            or without, or AdamW.
        rate: of the step.
        clip: largest norm of all gradients together; 0: no limit.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, rate: float, clip: float = 0.0) -> None:
        self.optimizer, self.rate, self.clip = optimizer, rate, clip
        self._groups = {id(p): group for group in optimizer.param_groups for p in group["params"]}

    def __call__(
        self, weights: Sequence[Tensor], gradients: Sequence[Tensor | None]
    ) -> list[Tensor | None]:
        """The new value of each weight, (shape of the weight); ``None`` without a gradient."""
        present = [g for g in gradients if g is not None]
        share = torch.ones(()) if not present else torch.ones((), device=present[0].device)
        if self.clip and present:
            norm = torch.stack([g.square().sum() for g in present]).sum().clamp_min(_TINY).sqrt()
            share = (self.clip / (norm + 1e-6)).clamp(max=1.0)
        take = _adamw if isinstance(self.optimizer, torch.optim.AdamW) else _sgd
        return [
            None
            if g is None
            else take(
                w.detach(),
                g * share,
                self._groups[id(w)],
                self.optimizer.state.get(w, {}),
                self.rate,
            )
            for w, g in zip(weights, gradients, strict=True)
        ]


def _sgd(weight: Tensor, gradient: Tensor, group: Any, state: Any, rate: float) -> Tensor:
    along = gradient + group["weight_decay"] * weight
    if group["momentum"]:
        before = state.get("momentum_buffer")
        moved = along
        if before is not None:
            moved = group["momentum"] * before + (1.0 - group["dampening"]) * along
        along = along + group["momentum"] * moved if group["nesterov"] else moved
    after: Tensor = weight - rate * along
    return after


def _adamw(weight: Tensor, gradient: Tensor, group: Any, state: Any, rate: float) -> Tensor:
    one, two = group["betas"]
    count = float(state["step"]) + 1.0 if state else 1.0
    mean = (1.0 - one) * gradient
    square = (1.0 - two) * gradient.square()
    if state:
        mean, square = mean + one * state["exp_avg"], square + two * state["exp_avg_sq"]
    scale = (square / (1.0 - two**count)).clamp_min(_TINY).sqrt() + group["eps"]
    shrunk = weight * (1.0 - rate * group["weight_decay"])
    after: Tensor = shrunk - rate * mean / (1.0 - one**count) / scale
    return after


def unrolled_gradient(
    held_loss: Callable[[], Tensor],
    train_loss: Callable[[], Tensor],
    weights: Sequence[Tensor],
    alphas: Sequence[Tensor],
    *,
    step: Step,
    renew: Callable[[], None] = lambda: None,
) -> list[Tensor | None]:
    """The gradient in alphas of the held-out loss after one step of the weights (eq. 7 and 8).

    The paper steps by plain gradient descent, ``w - rate * g``; any step works whose derivative
    in the gradients is known: where the paper multiplies the held-out gradient by ``-rate``, this
    multiplies it by that derivative.

    Args:
        held_loss, train_loss: at the current values of weights and alphas.
        weights: leaves; changed on the way and restored exactly.
        step: of the weights.
        renew: called before each loss: updates what depends on weights or alphas.
    """
    before = [w.detach().clone() for w in weights]
    renew()
    slopes = [
        None if g is None else g.detach().requires_grad_()
        for g in torch.autograd.grad(train_loss(), weights, allow_unused=True)
    ]
    after = step(weights, slopes)
    _put(weights, after)
    renew()
    both = torch.autograd.grad(held_loss(), [*weights, *alphas], allow_unused=True)
    ahead, direct = both[: len(weights)], both[len(weights) :]
    along = _gradient_through_step(after, slopes, ahead)
    length = float(torch.stack([d.square().sum() for d in along if d is not None]).sum().sqrt())
    epsilon = _EPSILON / max(length, 1e-12)
    sides: list[tuple[Tensor | None, ...]] = []
    for sign in (1.0, -1.0):
        _put(
            weights,
            [
                b if d is None else b + sign * epsilon * d
                for b, d in zip(before, along, strict=True)
            ],
        )
        renew()
        sides.append(torch.autograd.grad(train_loss(), alphas, allow_unused=True))
    _put(weights, before)
    renew()
    gradients: list[Tensor | None] = []
    for one, plus, minus in zip(direct, *sides, strict=True):
        if plus is None or minus is None:
            gradients.append(one)
            continue
        mixed = (plus - minus) / (2 * epsilon)
        gradients.append(mixed if one is None else one + mixed)
    return gradients


def _gradient_through_step(
    after: Sequence[Tensor | None],
    slopes: Sequence[Tensor | None],
    ahead: Sequence[Tensor | None],
) -> list[Tensor | None]:
    """The derivative of the held-out loss in the training gradients, through the step."""
    result: list[Tensor | None] = [None] * len(after)
    moved = [
        # A weight that the held-out loss does not use has no part in it.
        (i, a, s, torch.zeros_like(a) if g is None else g)
        for i, (a, s, g) in enumerate(zip(after, slopes, ahead, strict=True))
        if a is not None and s is not None
    ]
    derivatives = torch.autograd.grad(
        [a for _, a, _, _ in moved], [s for _, _, s, _ in moved], [g for _, _, _, g in moved]
    )
    for (i, *_), gradient in zip(moved, derivatives, strict=True):
        result[i] = gradient
    return result


@torch.no_grad()
def _put(weights: Sequence[Tensor], values: Sequence[Tensor | None]) -> None:
    for weight, value in zip(weights, values, strict=True):
        if value is not None:
            weight.copy_(value)
