"""GDAS and SNAS: options drawn with Gumbel noise."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ...data.splits import Batch
from ...space.decision import Categorical
from ..session import Session
from .mixture import Mix
from .reading import Relaxed, size_of, taken
from .relaxation import Relaxation

if TYPE_CHECKING:
    from ...space import Space


class GDAS(Relaxation):
    """Search by a differentiable sampler (Dong & Yang 2019, arXiv:1910.04465).

    Each pass draws one option of each decision (Gumbel-max) and computes it alone; the gradient is
    that of the softmax (straight-through). The temperature falls from 10 to 0.1, as in the paper.
    From a subset as many candidates are drawn as it takes.
    """

    name = "gdas"

    def paths(self, space: Space) -> float:
        return 1.0

    def temperature(self, session: Session) -> float:
        """Falls linearly with the progress."""
        return 10.0 + (0.1 - 10.0) * session.progress

    def mix(self, session: Session, decision: Relaxed, purpose: str) -> Mix:
        noisy = _noisy(self, session, decision, purpose)
        soft = torch.softmax(noisy / self.temperature(session), 0) * taken(decision)
        count = _count(session.rng(f"{purpose} size {decision.name}"), decision)
        places = noisy.detach().topk(count).indices
        hard = torch.zeros_like(soft).index_fill(0, places, 1.0)
        # The difference first: it is exactly zero, so the drawn weight is exactly one.
        return Mix((soft - soft.detach()) + hard, tuple(sorted(places.tolist())))

    def end_epoch(self, session: Session, epoch: int) -> dict[str, float]:
        metrics = super().end_epoch(session, epoch)
        return {**metrics, "temperature": self.temperature(session)}


class SNAS(Relaxation):
    """Stochastic NAS (Xie et al. 2019, arXiv:1812.09926).

    Mixing weights are drawn from the concrete distribution (a softmax of Gumbel noise on the
    alphas), and weights and alphas learn from the same training loss, in one pass. The temperature
    falls from 1 to 0.1 here, by the same factor at each step.
    """

    name = "snas"
    holdout = 0.0

    def temperature(self, session: Session) -> float:
        """Falls by the same factor at each step."""
        return float(0.1**session.progress)

    def mix(self, session: Session, decision: Relaxed, purpose: str) -> Mix:
        noisy = _noisy(self, session, decision, purpose)
        return Mix(torch.softmax(noisy / self.temperature(session), 0) * taken(decision))

    def step(self, session: Session, batch: Batch) -> Tensor:
        child = self.child(session)
        learning = session.progress >= self.settings.warm
        self.set(session, "alphas" if learning else "weights")
        loss = session.loss(child.model, batch)
        (self.regularised(session, loss) if learning else loss).backward()  # type: ignore[no-untyped-call]
        if learning:
            self.alphas.learn([alpha.grad for alpha in self.alphas.tensors()])
        session.update()
        self.count(child.run)
        return loss.detach()

    def end_epoch(self, session: Session, epoch: int) -> dict[str, float]:
        metrics = super().end_epoch(session, epoch)
        return {**metrics, "temperature": self.temperature(session)}


def _noisy(method: Relaxation, session: Session, decision: Relaxed, purpose: str) -> Tensor:
    """Log-probabilities with standard Gumbel noise of this step, (options,)."""
    rng = session.rng(f"{purpose} noise {decision.name}")
    uniform = torch.tensor([rng.uniform(1e-9, 1.0 - 1e-9) for _ in range(size_of(decision))])
    alpha = method.alphas[decision.name]
    return torch.log_softmax(alpha, 0) - torch.log(-torch.log(uniform)).to(alpha)


def _count(rng: random.Random, decision: Relaxed) -> int:
    """How many options are drawn."""
    return 1 if isinstance(decision, Categorical) else rng.choice(decision.sizes)
