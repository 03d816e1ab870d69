"""DARTS, first and second order."""

from __future__ import annotations

import torch
from torch import Tensor

from ...data.splits import Batch
from ..session import Session
from .child import Child, unmoved
from .mixture import Mix
from .reading import Relaxed
from .relaxation import Relaxation
from .unroll import ComingStep, unrolled_gradient


class DARTS(Relaxation):
    """Differentiable architecture search, first order (Liu et al. 2019, arXiv:1806.09055).

    A choice is the softmax-weighted sum of its options. Each step learns alphas on a held-out
    batch, with the weights fixed, and then weights on a training batch.
    """

    name = "darts"

    def mix(self, session: Session, decision: Relaxed, purpose: str) -> Mix:
        return Mix(self.probabilities(decision))


class SecondOrderDARTS(DARTS):
    """DARTS whose alphas look one weight step ahead (arXiv:1806.09055, section 2.3).

    The held-out loss is the one after the step that the weights are about to take on the training
    batch: of the optimiser that trains them, with its momentum, weight decay and clipping, at the
    rate of that step. Its gradient in the alphas has a second term, a product with a matrix of
    second derivatives, which is computed as a finite difference of two gradients. A step costs
    about 2.7 times the first-order one.
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

        session.adopt()
        weights = [p for p in session.supernet.parameters() if p.requires_grad]
        step = ComingStep(session.optimizer, session.coming_rate, session.recipe.clip)
        with unmoved(child.model):
            gradients = unrolled_gradient(
                held_loss, train_loss, weights, self.alphas.tensors(), step=step, renew=renew
            )
        self.set(session, "alphas")
        more = self.regularised(session, torch.zeros((), device=session.device))
        if more.requires_grad:
            added = self.gradients(more)
            gradients = [
                one if two is None else two if one is None else one + two
                for one, two in zip(gradients, added, strict=True)
            ]
        self.alphas.learn(gradients)
