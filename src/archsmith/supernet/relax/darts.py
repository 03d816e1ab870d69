"""DARTS, first and second order."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..session import Batch, Session
from .child import Child, unmoved
from .mixture import Mix
from .reading import Relaxed
from .relaxation import Relaxation

_EPSILON = 0.01  # length of the finite difference, as in the paper


class DARTS(Relaxation):
    """Differentiable architecture search, first order (Liu et al. 2019, arXiv:1806.09055).

    A choice is the softmax-weighted sum of its options. Each step learns alphas on a held-out
    batch, with the weights as they are, and then weights on a training batch.
    """

    name = "darts"

    def mix(self, session: Session, decision: Relaxed, purpose: str) -> Mix:
        return Mix(self.probabilities(decision))


class SecondOrderDARTS(DARTS):
    """DARTS whose alphas look one step of the weights ahead (arXiv:1806.09055, section 2.3).

    The held-out loss is that after a step of plain gradient descent on the training batch, at the
    present learning rate. Its gradient in the alphas has a second part, a product with a matrix of
    second derivatives, which is a finite difference of two gradients. A step costs about 2.7
    times the first-order one.
    """

    name = "darts-2nd"

    def learn_alphas(self, session: Session, child: Child, batch: Batch) -> None:
        held, seed = session.held(), session.rng("dropout").getrandbits(63)
        devices = [session.device] if session.device.type == "cuda" else []

        def held_loss() -> Tensor:
            return session.loss(child.model, held)

        def train_loss() -> Tensor:
            # The same dropout each time: the two sides of a difference quotient are compared.
            with torch.random.fork_rng(devices=devices):
                torch.manual_seed(seed)
                return session.loss(child.model, batch)

        def renew() -> None:
            self.set(session, "alphas")  # a graph is used up by each backward pass
            self.follow(session, child)

        weights = [p for p in session.supernet.parameters() if p.requires_grad]
        alphas = self.alphas.tensors()
        with unmoved(child.model):
            gradients = unrolled_gradient(
                held_loss, train_loss, weights, alphas,
                rate=session.rate or session.recipe.lr, renew=renew,
            )  # fmt: skip
        self.set(session, "alphas")
        more = self.regularised(session, torch.zeros((), device=session.device))
        if more.requires_grad:
            added = self.gradients(more)
            gradients = [
                one if two is None else two if one is None else one + two
                for one, two in zip(gradients, added, strict=True)
            ]
        self.alphas.learn(gradients)


def unrolled_gradient(
    held_loss: Callable[[], Tensor],
    train_loss: Callable[[], Tensor],
    weights: Sequence[Tensor],
    alphas: Sequence[Tensor],
    *,
    rate: float,
    renew: Callable[[], None] = lambda: None,
) -> list[Tensor | None]:
    """The gradient in alphas of the held-out loss after one step of the weights (DARTS, eq. 7, 8).

    Args:
        held_loss, train_loss: at the present values of weights and alphas.
        weights: leaves; moved along the way and put back exactly.
        rate: of the step of the weights.
        renew: called before each loss: what depends on weights or alphas follows them.
    """
    before = [w.detach().clone() for w in weights]
    renew()
    step = torch.autograd.grad(train_loss(), weights, allow_unused=True)
    _move(weights, before, step, -rate)
    renew()
    both = torch.autograd.grad(held_loss(), [*weights, *alphas], allow_unused=True)
    ahead, direct = both[: len(weights)], both[len(weights) :]
    length = torch.sqrt(sum((g.square().sum() for g in ahead if g is not None), torch.zeros(())))
    epsilon = _EPSILON / max(float(length), 1e-12)
    sides: list[tuple[Tensor | None, ...]] = []
    for sign in (1.0, -1.0):
        _move(weights, before, ahead, sign * epsilon)
        renew()
        sides.append(torch.autograd.grad(train_loss(), alphas, allow_unused=True))
    _move(weights, before, [None] * len(before), 0.0)
    renew()
    found: list[Tensor | None] = []
    for one, plus, minus in zip(direct, *sides, strict=True):
        if plus is None or minus is None:
            found.append(one)
            continue
        mixed = (plus - minus) * (-rate / (2 * epsilon))
        found.append(mixed if one is None else one + mixed)
    return found


@torch.no_grad()
def _move(
    weights: Sequence[Tensor],
    before: Sequence[Tensor],
    along: Sequence[Tensor | None],
    distance: float,
) -> None:
    for weight, start, direction in zip(weights, before, along, strict=True):
        weight.copy_(start if direction is None else start + distance * direction)
